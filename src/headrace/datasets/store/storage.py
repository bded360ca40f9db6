"""Where a store's files lie: the one place that reads, writes and lists them.

Paths are relative to the store, with `/` between parts that are plain names: none leads elsewhere,
and none starts with a dot, as the temporaries of a folder do. Documents and objects are created
once and never changed; only what is called `replace` replaces, and it does so at once.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.core.clock import now_us
from headrace.core.errors import StateError
from headrace.core.files import sync_folder

S3 = "s3://"
# No document of a store is near this size; one that is was made to exhaust a reader.
MOST_BYTES = 256 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@=-]*")
TEMPORARY = re.compile(r"\..+\.tmp")


@dataclass(frozen=True)
class Entry:
    """A file of a store: its path, its size in bytes, when it was written (microseconds UTC)."""

    path: str
    size: int
    modified: int


class Storage(Protocol):
    """A place for files. Whatever goes wrong in it is a StateError that says where."""

    @property
    def address(self) -> str:
        """How a person names the place."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """All of a file. Raises StateError if there is none, or if it is larger than MOST_BYTES."""
        ...

    def open(self, path: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        """A file to read and seek in, as a `pyarrow.NativeFile`."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if there is none."""
        ...

    def stat(self, path: str) -> Entry | None:
        """The file now, which may be a leftover; None if there is none."""
        ...

    def walk(self, folder: str) -> list[Entry]:
        """All files in and below a folder, by path; none if there is no such folder.

        "" is the whole store. Leftovers are not among them.
        """
        ...

    def put_new(self, path: str, data: bytes) -> bool:
        """Write the whole file, or nothing if there is one; False if there is."""
        ...

    def put_file(self, path: str, temporary: Path) -> None:
        """Move a finished local file here, whole or not at all; the temporary is gone after."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write the file; a reader sees the old bytes or the new ones."""
        ...

    def refresh(self, path: str, temporary: Path) -> None:
        """As `put_file` for an object that is there already with the same bytes.

        It looks new after, so that no clearing up takes it for a leftover.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""
        ...

    def temporary(self, name: str) -> Path:
        """A name for a local file of this thread, for `put_file` to move."""
        ...

    def leftovers(self) -> list[Entry]:
        """Temporaries, of writers at work or of such as died."""
        ...

    def local_path(self, path: str) -> Path | None:
        """Where the file lies on this machine; None if it does not."""
        ...


def storage_at(root: Path | str) -> Storage:
    """The storage at a folder, or at `s3://bucket/prefix`."""
    if str(root).startswith(S3):
        from headrace.datasets.store.bucket import Bucket

        return Bucket(str(root).rstrip("/"))
    return Folder(Path(root))


def checked(path: str) -> tuple[str, ...]:
    """The parts of a path. Raises StateError for one that is not made of plain names."""
    parts = tuple(path.split("/"))
    if not all(_PART.fullmatch(part) for part in parts):
        raise StateError(f"{path!r} is no path of a store", fix="names have letters, digits, _-.@=")
    return parts


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or of a file system that it has mounted."""

    root: Path

    @property
    def address(self) -> str:
        return str(self.root)

    def read_bytes(self, path: str) -> bytes:
        place = self.local_path(path)
        with self._explained(place):
            if place.stat().st_size > MOST_BYTES:
                raise too_large(str(place))
            return place.read_bytes()

    def open(self, path: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        import pyarrow as pa

        place = self.local_path(path)
        with self._explained(place):
            return pa.memory_map(str(place))

    def size(self, path: str) -> int | None:
        place = self.local_path(path)
        return place.stat().st_size if place.is_file() else None

    def stat(self, path: str) -> Entry | None:
        place = self._place(path)
        return self._entry(place) if place.is_file() else None

    def walk(self, folder: str) -> list[Entry]:
        place = self.local_path(folder) if folder else self.root
        found = [file for file in _files(place) if not file.name.startswith(".")]
        return sorted((self._entry(one) for one in found), key=lambda entry: entry.path)

    def put_new(self, path: str, data: bytes) -> bool:
        place = self.local_path(path)
        with self._explained(place), self._written(place, data) as temporary:
            try:
                os.link(temporary, place)
            except FileExistsError:
                return False
            sync_folder(place.parent)
        return True

    def put_file(self, path: str, temporary: Path) -> None:
        place = self.local_path(path)
        with self._explained(place):
            self._make(place.parent)
            _sync(temporary)
            temporary.replace(place)
            sync_folder(place.parent)

    def replace(self, path: str, data: bytes) -> None:
        place = self.local_path(path)
        with self._explained(place), self._written(place, data) as temporary:
            temporary.replace(place)
            sync_folder(place.parent)

    def refresh(self, path: str, temporary: Path) -> None:
        place = self.local_path(path)
        try:
            os.utime(place)
            temporary.unlink()
        except OSError:  # gone meanwhile, or another user's
            self.put_file(path, temporary)

    def delete(self, path: str) -> None:
        place = self._place(path)
        with self._explained(place):
            place.unlink(missing_ok=True)

    def temporary(self, name: str) -> Path:
        folder = self.local_path("objects")
        with self._explained(folder):
            self._make(folder)
        return folder / f".{name}.{_me()}.tmp"

    def leftovers(self) -> list[Entry]:
        found = [file for file in _files(self.root) if TEMPORARY.fullmatch(file.name)]
        return [self._entry(one) for one in found]

    def local_path(self, path: str) -> Path:
        """Raises StateError if anything on the way below the root is a link."""
        place = self.root
        for part in checked(path):
            place /= part
            if place.is_symlink():
                raise StateError(
                    f"{path} is a link, and may lead anywhere",
                    where=str(place),
                    fix="restore it from a copy of the store",
                )
        return place

    def _place(self, path: str) -> Path:
        """As `local_path`, also of a leftover."""
        folder, _, name = path.rpartition("/")
        if not TEMPORARY.fullmatch(name):
            return self.local_path(path)
        return (self.local_path(folder) if folder else self.root) / name

    def _entry(self, place: Path) -> Entry:
        try:
            found = place.stat(follow_symlinks=False)
        except FileNotFoundError:  # a temporary that was moved meanwhile
            return Entry(place.relative_to(self.root).as_posix(), 0, now_us())
        modified = found.st_mtime_ns // 1000
        return Entry(place.relative_to(self.root).as_posix(), found.st_size, modified)

    @contextmanager
    def _written(self, place: Path, data: bytes) -> Iterator[Path]:
        """The bytes in a temporary beside `place`, which is gone in the end."""
        self._make(place.parent)
        temporary = place.with_name(f".{place.name}.{_me()}.tmp")
        try:
            temporary.write_bytes(data)
            _sync(temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """The folder and all above it, to stay after a power cut."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        sync_folder(folder.parent)

    @contextmanager
    def _explained(self, place: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise missing(str(place)) from error
        except OSError as error:
            raise StateError(
                f"{place.name} cannot be used: {error.strerror or error}",
                where=str(place),
                fix="check the rights and the space of the store",
            ) from error


def missing(where: str) -> StateError:
    return StateError("a file is missing", where=where, fix="restore it from a copy of the store")


def too_large(where: str) -> StateError:
    return StateError(
        f"a document is larger than {MOST_BYTES >> 20} MiB: none of a store is",
        where=where,
        fix="restore it from a copy of the store",
    )


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder; a link is listed, and never followed."""
    for base, _, names in os.walk(folder):
        for name in names:
            yield Path(base, name)


def _me() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
