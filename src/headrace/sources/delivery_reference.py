"""Reference to a delivery that is read in place: only its hash, size and address are kept."""

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
    """Payload of a delivery in place; any change of the object's bytes can be detected by it."""

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
    """Version of an object from the metadata of its store, without reading the object."""

    size: int
    modified: int
    etag: str = ""


def version_of(uri: str) -> Version | None:
    """The object now; None if it is not there.

    Raises:
        SourceError: the store does not answer, or refuses.
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
    """sha256 of the object, streamed; `version` is what it must be before and after.

    Raises:
        StateError: it changed meanwhile.
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
            f"{uri} changed while it was read", where=uri, fix="run it again once it is settled"
        )


@contextmanager
def referred(delivery: Delivery) -> Iterator[Any]:
    """The object of a delivery in place, as a seekable file: the very bytes that were registered.

    Raises:
        StateError: it is gone, or holds other bytes, or did so at the end of the block.
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
