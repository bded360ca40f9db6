"""Reference to an object that is read in place: only its hash, size and row count are stored."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.sources.base import Delivery
from headrace.sources.storage import opened, stat

_FORMAT = 1
_PIECE = 4 << 20


@dataclass(frozen=True)
class Reference:
    """Payload of a delivery that is read in place; the hash shows if the object has changed."""

    sha256: str
    size: int
    rows: int

    def payload(self) -> bytes:
        return canonical_json({"format": _FORMAT, **asdict(self)}) + b"\n"

    @classmethod
    def of(cls, payload: bytes) -> "Reference":
        document = json.loads(payload)
        document.pop("format")
        return cls(**document)


@dataclass(frozen=True)
class Version:
    """Version of an object, from its store's metadata (no need to read the object)."""

    size: int
    modified: int
    etag: str = ""


def version_of(uri: str) -> Version | None:
    """Return the object's current version; None if it does not exist.

    Raises:
        SourceError: if the store does not answer, or refuses access.
    """
    listed = stat(uri)
    if listed is None:
        return None
    with opened(uri) as handle:
        headers = handle.metadata() or {}
    etag = headers.get("ETag", b"")
    return Version(
        listed.size, listed.modified, etag.decode() if isinstance(etag, bytes) else str(etag)
    )


@lru_cache(maxsize=4096)
def hash_of(uri: str, version: Version) -> str:
    """Stream the object, and return its sha256.

    Raises:
        StateError: if the object does not have this `version` after it was read.
    """
    hasher = hashlib.sha256()
    with opened(uri) as handle:
        while piece := handle.read(_PIECE):
            hasher.update(piece)
    require_version(uri, version)
    return hasher.hexdigest()


def require_version(uri: str, version: Version) -> None:
    if version_of(uri) != version:
        raise StateError(
            f"{uri} changed while it was read",
            where=uri,
            fix="run again when the object is complete",
        )


@contextmanager
def referred(delivery: Delivery) -> Iterator[Any]:
    """Open the object of a delivery as a seekable file, and check that its bytes are unchanged.

    Raises:
        StateError: if the object is missing or has other bytes, at the start or end of the block.
    """
    reference, uri = Reference.of(delivery.payload), delivery.origin
    version = version_of(uri)
    if version is None:
        raise StateError(
            f"the object of batch {delivery.batch_id} is gone",
            where=uri,
            fix="put it back: the same bytes are the same batch; what was published is not lost",
        )
    if version.size != reference.size or hash_of(uri, version) != reference.sha256:
        raise StateError(
            f"the object of batch {delivery.batch_id} holds other bytes than were registered",
            where=uri,
            fix="put back the object as it was; deliver other content under another name",
        )
    with opened(uri) as handle:
        yield handle
    require_version(uri, version)
