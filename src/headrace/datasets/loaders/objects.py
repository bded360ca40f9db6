"""Objects of a store as files at hand whose bytes have been checked against their name.

Nothing is read from an object before all its bytes have been hashed once on this machine. What was
found is kept under `HEADRACE_CACHE` with all that the file system says of the file (inode, size,
both times of change, to the nanosecond): a file that is touched, replaced or swapped is hashed
again. Only `verify` takes nobody's word. Objects of a remote store are fetched whole into the same
folder, which may be deleted at any time.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from headrace.errors import StateError
from headrace.files import temporary_beside

# A file can change twice within one tick of the clock that its times are taken from.
_SETTLED_NS = 2 * 10**9

Stamp = tuple[int, int, int, int, int]
_checked: dict[str, Stamp] = {}


def cache() -> Path:
    """`HEADRACE_CACHE`, else `headrace` in the user's folder for what may be deleted."""
    if given := os.environ.get("HEADRACE_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "headrace"


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
