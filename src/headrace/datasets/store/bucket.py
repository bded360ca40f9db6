"""A store in an S3-compatible bucket: `s3://bucket/prefix`.

Reads go through pyarrow, as everywhere in Headrace. Writes go through obstore, which can create an
object on the condition that it does not exist yet.
"""

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.errors import SourceError, StateError
from headrace.datasets.store.storage import MOST_BYTES, S3, StoredFile, checked, missing, too_large

if TYPE_CHECKING:
    from obstore.store import S3Store

_TRIES = 5
# Stores that this process has found to support conditional writes.
_CONDITIONAL: set[tuple[str, tuple[str | None, str | None]]] = set()


@dataclass(frozen=True)
class Bucket:
    """Storage in a bucket; `address` is `s3://bucket` or `s3://bucket/prefix`."""

    address: str

    def __post_init__(self) -> None:
        bucket, *prefix = self.address.removeprefix(S3).split("/")
        checked(bucket)
        if prefix:
            checked("/".join(prefix))

    def read_bytes(self, path: str) -> bytes:
        with self._explained(path), self.open(path) as handle:
            if handle.size() > MOST_BYTES:
                raise too_large(self._where(path))
            data: bytes = handle.read()
            return data

    def open(self, path: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        with self._explained(path):
            return self._reading.open_input_file(self._key(path))

    def size(self, path: str) -> int | None:
        entry = self.stat(path)
        return None if entry is None else entry.size

    def stat(self, path: str) -> StoredFile | None:
        import pyarrow.fs as pafs

        with self._explained(path):
            info = self._reading.get_file_info(self._key(path))
        return self._entry(info) if info.type == pafs.FileType.File else None

    def walk(self, folder: str) -> list[StoredFile]:
        import pyarrow.fs as pafs

        base = self._key(folder) if folder else self.address.removeprefix(S3)
        selector = pafs.FileSelector(base, recursive=True, allow_not_found=True)
        with self._explained(folder):
            infos = self._reading.get_file_info(selector)
        files = [info for info in infos if info.type == pafs.FileType.File]
        return sorted((self._entry(file) for file in files), key=lambda entry: entry.path)

    def create(self, path: str, data: bytes) -> bool:
        obstore = self._client_library()
        self._require_conditions()
        for attempt in range(_TRIES):
            with self._explained(path):
                try:
                    obstore.put(
                        self._writing, self._at(path), data, mode="create", use_multipart=False
                    )
                except obstore.exceptions.AlreadyExistsError:
                    pass
                else:
                    return True
            # The server may say "already exists" on a retry after our own write succeeded, or to
            # one of two simultaneous requests before either has written.
            if self.size(path) is not None:
                return self.read_bytes(path) == data
            time.sleep(0.1 * 2**attempt)
        raise StateError(
            "the object store says that the file exists, but does not find it",
            where=self._where(path),
        )

    def put_file(self, path: str, temporary: Path) -> None:
        obstore = self._client_library()
        with self._explained(path), temporary.open("rb") as handle:
            obstore.put(self._writing, self._at(path), handle)
        temporary.unlink()

    def replace(self, path: str, data: bytes) -> None:
        obstore = self._client_library()
        with self._explained(path):
            obstore.put(self._writing, self._at(path), data, use_multipart=False)

    def refresh(self, path: str, temporary: Path) -> None:
        self.put_file(path, temporary)  # only a new upload renews the time of an object in a bucket

    def delete(self, path: str) -> None:
        obstore = self._client_library()
        with self._explained(path):
            obstore.delete(self._writing, self._at(path))

    def temporary(self, name: str) -> Path:
        return _scratch() / f"{name}.{threading.get_ident()}.tmp"

    def leftovers(self) -> list[StoredFile]:
        return []

    def local_path(self, path: str) -> Path | None:
        checked(path)
        return None

    @cached_property
    def _reading(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        from headrace.sources.storage import filesystem

        return filesystem(S3)

    @cached_property
    def _writing(self) -> "S3Store":
        return _client(self.address.removeprefix(S3).split("/")[0])

    def _key(self, path: str) -> str:
        """Bucket and key, as pyarrow expects it."""
        checked(path)
        return f"{self.address.removeprefix(S3)}/{path}"

    def _at(self, path: str) -> str:
        """The key alone, as obstore expects it."""
        return self._key(path).split("/", 1)[1]

    def _entry(self, info: Any) -> StoredFile:  # noqa: ANN401 - pyarrow has no types
        path = info.path[len(self.address.removeprefix(S3)) + 1 :]
        return StoredFile(path, int(info.size), int(info.mtime_ns or 0) // 1000)

    def _client_library(self) -> Any:  # noqa: ANN401 - a module
        try:
            import obstore
            import obstore.exceptions
        except ImportError as error:
            raise StateError(
                "writing to an object store needs obstore",
                where=self.address,
                fix="pip install 'headrace[s3]'",
            ) from error
        return obstore

    def _where(self, path: str) -> str:
        return f"{self.address}/{path}"

    def _require_conditions(self) -> None:
        """Raise StateError if the server ignores If-None-Match and so would overwrite releases."""
        endpoints = (os.environ.get("AWS_ENDPOINT_URL_S3"), os.environ.get("AWS_ENDPOINT_URL"))
        if (self.address, endpoints) in _CONDITIONAL:
            return
        with self._explained("probes"):
            supported = _supports_conditions(self._writing, self._at("probes"))
        if not supported:
            raise StateError(
                "this object store ignores If-None-Match: releases could overwrite each other",
                where=self.address,
                fix="use a server that has conditional writes, or release to a folder and copy it",
            )
        _CONDITIONAL.add((self.address, endpoints))

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        from headrace.sources.storage import explained

        where = self._where(path)
        try:
            with explained(where):
                yield
        except SourceError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise missing(where) from error
            raise StateError(error.what, where=where, fix=error.fix) from error
        except Exception as error:
            if type(error).__module__.startswith("obstore"):
                raise StateError(
                    f"cannot write {where}: {str(error)[:300]}",
                    where=where,
                    fix="check permissions (s3:PutObject, s3:DeleteObject) and AWS_ENDPOINT_URL",
                ) from error
            raise


@lru_cache(maxsize=1)
def _scratch_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="headrace-")


def _scratch() -> Path:
    """Temporary folder of this process, deleted when it ends."""
    return Path(_scratch_folder().name)


def _client(bucket: str) -> "S3Store":
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return _clients(bucket, endpoint, region or "us-east-1")


@lru_cache(maxsize=8)
def _clients(bucket: str, endpoint: str | None, region: str) -> "S3Store":
    from obstore.store import S3Store

    if endpoint is None:
        return S3Store(bucket, region=region)
    plain = endpoint.startswith("http://")
    return S3Store(
        bucket,
        region=region,
        endpoint=endpoint,
        virtual_hosted_style_request=False,
        client_options={"allow_http": plain, "timeout": "60s"},
        retry_config={"max_retries": 3},
    )


def _supports_conditions(client: "S3Store", folder: str) -> bool:
    """True if the server refuses to create an object that exists."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    place = f"{folder}/{uuid.uuid4().hex}"
    obstore.put(client, place, b"first", mode="create", use_multipart=False)
    try:
        obstore.put(client, place, b"second", mode="create", use_multipart=False)
    except AlreadyExistsError:
        return True
    finally:
        obstore.delete(client, place)
    return False
