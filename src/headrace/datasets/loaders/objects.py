"""Local files of the parts of a release, verified against the sha256 in their names.

A part is read only after all its bytes have been hashed once on this machine. The result is cached
under `HEADRACE_CACHE` with the file's inode, size and both modification times in nanoseconds, so
that a file that is touched or replaced is hashed again. Only `verify` always hashes. Parts of a
remote store are downloaded whole into the same folder, which may be deleted at any time. See
docs/decisions/0027.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from headrace.core.errors import StateError
from headrace.core.files import temporary_beside
from headrace.datasets.manifest import Part
from headrace.datasets.store.store import Store

# A file changed less than this long ago is not remembered as checked: it can change again within
# the same tick of the file system's clock, and its times would not show it.
_SETTLED_NS = 2 * 10**9

_BLOCK = 1 << 20

Stamp = tuple[int, int, int, int, int]
_checked: dict[str, Stamp] = {}


def cache() -> Path:
    """Cache folder: `HEADRACE_CACHE`, else `headrace` in the user's cache folder."""
    if configured := os.environ.get("HEADRACE_CACHE"):
        return Path(configured).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "headrace"


def local_part(store: Store, part: Part, ref: str) -> Path:
    """Return a local file with the bytes of the part; download it from a remote store if needed.

    Raises:
        StateError: the object is missing, or its bytes do not match its name.
    """
    name = store.object_name(part.object, "parquet")
    local = store.storage.local_path(name)
    if local is not None:
        return checked(local, part.object, part.bytes, ref)
    cached = cache() / "objects" / f"{part.object}.parquet"
    with suppress(StateError):  # a copy that is missing or damaged is fetched again
        return checked(cached, part.object, part.bytes, ref)
    _fetch(store, name, part, cached, ref)
    return checked(cached, part.object, part.bytes, ref)


def _fetch(store: Store, name: str, part: Part, to: Path, ref: str) -> None:
    """Download an object atomically to `to`, after checking its size and sha256."""
    where = Path(store.storage.address) / name
    hasher = hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(to)
    try:
        with store.storage.open(name) as source, temporary.open("wb") as copy:
            # Stop after one byte too many, so that a larger object is not downloaded to its end.
            remaining = part.bytes + 1
            while remaining > 0 and (block := source.read(min(remaining, _BLOCK))):
                hasher.update(block)
                copy.write(block)
                remaining -= len(block)
        if remaining != 1:
            raise _refused(part.object, f"is not {part.bytes} bytes", where, ref)
        if hasher.hexdigest() != part.object:
            raise _refused(part.object, "holds other bytes", where, ref)
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)


def forget(names: Iterable[str]) -> None:
    """Remove local copies of objects (`<sha256>.parquet`) that came from a remote store.

    Raises:
        StateError: a copy cannot be removed.
    """
    for name in names:
        cached = cache() / "objects" / name
        try:
            cached.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"the local copy of a removed object cannot be deleted: {error.strerror}",
                where=str(cached),
                fix="delete it",
            ) from error


def checked(path: Path, digest: str, size: int, ref: str) -> Path:
    """Return `path` after checking that its bytes have the sha256 `digest`.

    Raises:
        StateError: the file is missing, has another size or holds other bytes.
    """
    if not path.is_file():
        raise _refused(digest, "is missing", path, ref)
    status = path.stat()
    if status.st_size != size:
        raise _refused(digest, f"is {status.st_size} bytes, not {size} bytes", path, ref)
    stamp = _stamp(status)
    if _recorded_stamp(path, digest) != stamp:
        if digest_of(path) != digest:
            raise _refused(digest, "holds other bytes", path, ref)
        _remember(path, digest, stamp)
    return path


def digest_of(path: Path) -> str:
    """sha256 of a file, computed without the cache."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _refused(digest: str, why: str, path: Path, ref: str) -> StateError:
    return StateError(
        f"object {digest[:12]} {why}",
        where=f"{ref}, {path}",
        fix="restore it from a copy of the store, or rebuild the release",
    )


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _place(path: Path, digest: str) -> Path:
    where = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return cache() / "checked" / digest[:2] / f"{digest}-{where}"


def _recorded_stamp(path: Path, digest: str) -> Stamp | None:
    place = _place(path, digest)
    if (stamp := _checked.get(str(place))) is not None:
        return stamp
    with suppress(OSError, ValueError):
        device, inode, size, modified, changed = map(int, place.read_text().split())
        return device, inode, size, modified, changed
    return None


def _remember(path: Path, digest: str, stamp: Stamp) -> None:
    """Record a checked file for this and later processes, unless it changed very recently."""
    if time.time_ns() - stamp[4] < _SETTLED_NS:
        return
    place = _place(path, digest)
    _checked[str(place)] = stamp
    # If the folder is not writable, each process checks the file itself.
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(place)
        temporary.write_text(" ".join(map(str, stamp)))
        temporary.replace(place)
