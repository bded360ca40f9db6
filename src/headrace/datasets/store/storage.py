"""Storage of a store's files: the only module that reads, writes and lists them.

Paths are relative to the store and cannot leave it: their parts are plain names separated by `/`.
Only names of temporary files start with a dot. Documents and objects are created once and never
changed; only `replace` overwrites, and it does so atomically.
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
# Limit for documents, far above their real size, to protect the memory of readers.
MOST_BYTES = 256 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@=-]*")
TEMPORARY = re.compile(r"\..+\.tmp")


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: path, size in bytes, modification time (microseconds UTC)."""

    path: str
    size: int
    modified: int


class Storage(Protocol):
    """File operations of a store. Every failure is a StateError that names the file."""

    @property
    def address(self) -> str:
        """The location as shown to people."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """The bytes of a file. Raises StateError if it is missing or larger than MOST_BYTES."""
        ...

    def open(self, path: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Open a file for reading and seeking, as a `pyarrow.NativeFile`."""
        ...

    def size(self, path: str) -> int | None:
        """Size of a file in bytes; None if it does not exist."""
        ...

    def stat(self, path: str) -> StoredFile | None:
        """Path, size and time of a file, which may be temporary; None if it does not exist."""
        ...

    def walk(self, folder: str) -> list[StoredFile]:
        """All files in and below a folder, ordered by path; empty if there is no such folder.

        "" is the whole store. Temporary files are not included.
        """
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Create a file atomically; return False, without writing, if it exists."""
        ...

    def put_file(self, path: str, temporary: Path) -> None:
        """Move a finished local file into the store atomically; the local file disappears."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write a file atomically; a reader sees either the old bytes or the new ones."""
        ...

    def refresh(self, path: str, temporary: Path) -> None:
        """Like `put_file`, for an object that exists with the same bytes.

        Renew its modification time, so that garbage collection does not remove it.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove a file if it exists."""
        ...

    def temporary(self, name: str) -> Path:
        """Path of a local temporary file of this thread, for `put_file` to move."""
        ...

    def leftovers(self) -> list[StoredFile]:
        """Temporary files of running and killed writers."""
        ...

    def local_path(self, path: str) -> Path | None:
        """Path of the file on this machine; None for a remote store."""
        ...


def storage_at(root: Path | str) -> Storage:
    """The storage at a folder, or at `s3://bucket/prefix`."""
    if str(root).startswith(S3):
        from headrace.datasets.store.bucket import Bucket

        return Bucket(str(root).rstrip("/"))
    return Folder(Path(root))


def checked(path: str) -> tuple[str, ...]:
    """The parts of a path. Raises StateError unless all are plain names."""
    parts = tuple(path.split("/"))
    if not all(_PART.fullmatch(part) for part in parts):
        raise StateError(
            f"{path!r} is not a path of a store", fix="use names of letters, digits and _-.@="
        )
    return parts


@dataclass(frozen=True)
class Folder:
    """Storage in a folder of this machine or of a mounted file system."""

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

    def stat(self, path: str) -> StoredFile | None:
        place = self._place(path)
        return self._entry(place) if place.is_file() else None

    def walk(self, folder: str) -> list[StoredFile]:
        place = self.local_path(folder) if folder else self.root
        files = [file for file in _files(place) if not file.name.startswith(".")]
        return sorted((self._entry(file) for file in files), key=lambda entry: entry.path)

    def create(self, path: str, data: bytes) -> bool:
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
        except OSError:  # deleted in the meantime, or owned by another user
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

    def leftovers(self) -> list[StoredFile]:
        temporaries = [file for file in _files(self.root) if TEMPORARY.fullmatch(file.name)]
        return [self._entry(file) for file in temporaries]

    def local_path(self, path: str) -> Path:
        """Path of the file. Raises StateError if any part of it below the root is a link."""
        place = self.root
        for part in checked(path):
            place /= part
            if place.is_symlink():
                raise StateError(
                    f"{path} is a symbolic link, which a store must not contain",
                    where=str(place),
                    fix="restore it from a copy of the store",
                )
        return place

    def _place(self, path: str) -> Path:
        """Like `local_path`, but also for temporary files."""
        folder, _, name = path.rpartition("/")
        if not TEMPORARY.fullmatch(name):
            return self.local_path(path)
        return (self.local_path(folder) if folder else self.root) / name

    def _entry(self, place: Path) -> StoredFile:
        try:
            status = place.stat(follow_symlinks=False)
        except FileNotFoundError:  # a temporary file that was moved in the meantime
            return StoredFile(place.relative_to(self.root).as_posix(), 0, now_us())
        modified = status.st_mtime_ns // 1000
        return StoredFile(place.relative_to(self.root).as_posix(), status.st_size, modified)

    @contextmanager
    def _written(self, place: Path, data: bytes) -> Iterator[Path]:
        """Write the bytes to a temporary file beside `place`, which is removed at the end."""
        self._make(place.parent)
        temporary = place.with_name(f".{place.name}.{_me()}.tmp")
        try:
            temporary.write_bytes(data)
            _sync(temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """Create the folder and its parents, and sync them so that they survive a power cut."""
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
                fix="check the permissions and the free space of the store",
            ) from error


def missing(where: str) -> StateError:
    return StateError("a file is missing", where=where, fix="restore it from a copy of the store")


def too_large(where: str) -> StateError:
    return StateError(
        f"a document is larger than {MOST_BYTES >> 20} MiB, the limit for documents of a store",
        where=where,
        fix="restore it from a copy of the store",
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links are listed but never followed."""
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
