"""Atomic writes of small files, canonical JSON, and hashes."""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def canonical_json(value: object) -> bytes:
    """Return the canonical bytes of a JSON value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """Return the sha256 of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_beside(path: Path) -> Path:
    """Return a temporary name for this thread, in the same folder so that a rename is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def move_into_place(temporary: Path, path: Path) -> None:
    """Fsync `temporary`, rename it to `path`, fsync the folder."""
    handle = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(path)
    sync_folder(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file; a crash at any point leaves either its old content or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.write_bytes(data)
    move_into_place(temporary, path)


def pretty_json(value: object) -> bytes:
    """Return indented JSON, for files that people may read."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n"


def write_json(path: Path, value: object) -> None:
    write_atomically(path, pretty_json(value))


def append_line(path: Path, value: object) -> None:
    """Append `value` as a line of canonical JSON, and sync it.

    A newline comes first, so that an earlier line cut short by a crash does not damage this one.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, b"\n" + canonical_json(value) + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: only one process of this machine can; a crash releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
