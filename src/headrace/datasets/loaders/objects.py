"""Parts of a release as files at hand whose bytes have been checked against their name.

Nothing is read from a part before all its bytes have been hashed once on this machine. What was
found is kept under `HEADRACE_CACHE` with all that the file system says of the file (inode, size,
both times of change, to the nanosecond): a file that is touched, replaced or swapped is hashed
again. Only `verify` takes nobody's word. Parts of a remote store are fetched whole into the same
folder, which may be deleted at any time. docs/decisions/0027 says why.
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

# A file can change twice within one tick of the clock that its times are taken from.
_SETTLED_NS = 2 * 10**9

_BLOCK = 1 << 20

Stamp = tuple[int, int, int, int, int]
_checked: dict[str, Stamp] = {}


def cache() -> Path:
    """`HEADRACE_CACHE`, else `headrace` in the user's folder for what may be deleted."""
    if given := os.environ.get("HEADRACE_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "headrace"


def local_part(store: Store, part: Part, ref: str) -> Path:
    """A file on this machine whose bytes are the part's.

    Raises:
        StateError: the store has none, or other bytes under its name.
    """
    name = store.object_name(part.object, "parquet")
    here = store.storage.local_path(name)
    if here is not None:
        return checked(here, part.object, part.bytes, ref)
    kept = cache() / "objects" / f"{part.object}.parquet"
    with suppress(StateError):  # what is not there, or was damaged here, is fetched
        return checked(kept, part.object, part.bytes, ref)
    _fetch(store, name, part, kept, ref)
    return checked(kept, part.object, part.bytes, ref)


def _fetch(store: Store, name: str, part: Part, to: Path, ref: str) -> None:
    """Copy an object; the copy appears whole, and only if its bytes are right."""
    where = Path(store.storage.address) / name
    found = hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(to)
    try:
        with store.storage.open(name) as source, temporary.open("wb") as copy:
            # An object of another size is not fetched to its end, however long it is.
            left = part.bytes + 1
            while left > 0 and (block := source.read(min(left, _BLOCK))):
                found.update(block)
                copy.write(block)
                left -= len(block)
        if left != 1:
            raise _refused(part.object, f"is not {part.bytes} bytes", where, ref)
        if found.hexdigest() != part.object:
            raise _refused(part.object, "holds other bytes", where, ref)
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)


def forget(names: Iterable[str]) -> None:
    """Remove copies of objects, `<sha256>.parquet`, that were fetched from a remote store.

    Raises:
        StateError: one cannot be removed.
    """
    for name in names:
        kept = cache() / "objects" / name
        try:
            kept.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"a copy of an object that is gone stays here: {error.strerror}",
                where=str(kept),
                fix="delete it",
            ) from error


def checked(path: Path, digest: str, size: int, ref: str) -> Path:
    """`path`, whose bytes are those that `digest` (sha256) names.

    Raises:
        StateError: the file is missing, has another size or holds other bytes.
    """
    if not path.is_file():
        raise _refused(digest, "is missing", path, ref)
    found = path.stat()
    if found.st_size != size:
        raise _refused(digest, f"is {found.st_size} bytes, not {size} bytes", path, ref)
    stamp = _stamp(found)
    if _known(path, digest) != stamp:
        if digest_of(path) != digest:
            raise _refused(digest, "holds other bytes", path, ref)
        _remember(path, digest, stamp)
    return path


def digest_of(path: Path) -> str:
    """sha256 of a file's bytes, read now."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _refused(digest: str, why: str, path: Path, ref: str) -> StateError:
    return StateError(
        f"object {digest[:12]} {why}",
        where=f"{ref}, {path}",
        fix="restore it from a copy of the store, or rebuild the release",
    )


def _stamp(found: os.stat_result) -> Stamp:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _place(path: Path, digest: str) -> Path:
    where = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return cache() / "checked" / digest[:2] / f"{digest}-{where}"


def _known(path: Path, digest: str) -> Stamp | None:
    place = _place(path, digest)
    if (found := _checked.get(str(place))) is not None:
        return found
    with suppress(OSError, ValueError):
        one, two, three, four, five = map(int, place.read_text().split())
        return one, two, three, four, five
    return None


def _remember(path: Path, digest: str, stamp: Stamp) -> None:
    """For this process and later ones, if the file is old enough to tell by its times."""
    if time.time_ns() - stamp[4] < _SETTLED_NS:
        return
    place = _place(path, digest)
    _checked[str(place)] = stamp
    # Without a folder to write to, each process checks anew.
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(place)
        temporary.write_text(" ".join(map(str, stamp)))
        temporary.replace(place)
