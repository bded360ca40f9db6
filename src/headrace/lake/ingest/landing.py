"""Storage of delivered bytes by content hash, so that any batch can be parsed again."""

from pathlib import Path

import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.files import sha256, write_atomically
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.sources.base import Delivery


def land(home: Home, delivery: Delivery) -> str:
    """Store the payload once; return its path below `home.landing`."""
    content = delivery.content_sha
    relative = f"{content[:2]}/{content}.zst"
    path = home.landing / relative
    if not path.exists():
        codec = pa.Codec("zstd", compression_level=1)
        write_atomically(path, codec.compress(delivery.payload, asbytes=True))
    return relative


def read_landed(home: Home, batch_id: str) -> Delivery:
    """Return the delivery of a batch, with its original bytes.

    Raises:
        StateError: the batch is unknown, or its bytes are gone or damaged.
    """
    with Ledger(home) as ledger:
        _, batch = ledger.find(batch_id)
    return landed_delivery(home, batch)


def landed_delivery(home: Home, batch: Batch) -> Delivery:
    """Return the delivery of a batch, with its original bytes, from the batch's ledger row."""
    return Delivery(
        source=batch.source,
        slot=batch.slot,
        payload=_payload(home.landing / batch.raw_path, batch),
        format=batch.format,  # type: ignore[arg-type]  # the ledger stores what a Delivery held
        origin=batch.origin,
        arrived_at=batch.arrived_at,
        producer=batch.producer,
        sequence=batch.sequence,
    )


def _payload(path: Path, batch: Batch) -> bytes:
    if not path.exists():
        raise StateError(
            f"the delivered bytes of batch {batch.batch_id} are gone",
            where=str(path),
            fix=f"deliver {batch.origin} again; the same bytes restore the same batch",
        )
    codec = pa.Codec("zstd")
    payload: bytes = codec.decompress(
        path.read_bytes(), decompressed_size=batch.bytes, asbytes=True
    )
    if sha256(payload) != batch.sha256:
        raise StateError(
            f"the delivered bytes of batch {batch.batch_id} are damaged",
            where=str(path),
            fix="delete that file and deliver the batch again",
        )
    return payload
