"""A place for objects: a local folder, or a bucket of a real S3 server in this process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.sources import delivery_reference, storage


@cache
def s3_server() -> str:
    """The address of a server that lives as long as the tests do."""
    pytest.importorskip("moto", reason="moto, the S3 server of the tests, is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@dataclass
class Place:
    """Where a source looks; `root` is how the store is told, `address` how the source is."""

    store: Any
    root: str
    address: str

    def put(self, name: str, data: bytes | pa.Table, *, age: float = 3600) -> str:
        """Write an object, `age` seconds ago where the store lets that be said."""
        path = f"{self.root}/{name}"
        self.store.create_dir(path.rpartition("/")[0], recursive=True)
        if isinstance(data, pa.Table):
            data = parquet_bytes(data)
        with self.store.open_output_stream(path) as handle:
            handle.write(data)
        if self.is_local:
            at = Path(path).stat().st_mtime - age
            os.utime(path, (at, at))
        return f"{self.address}/{name}"

    def remove(self, name: str) -> None:
        self.store.delete_file(f"{self.root}/{name}")

    @property
    def is_local(self) -> bool:
        return not self.address.startswith("s3://")

    @property
    def settle(self) -> str:
        """Objects of a real store are new, those of a folder can be made old."""
        return "60s" if self.is_local else "0s"


def parquet_bytes(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


PLACES = ["folder", "s3"]


def places(kind: str, folder: Path, monkeypatch) -> Iterator[Place]:
    """The body of a fixture."""
    import pyarrow.fs as pafs

    delivery_reference.hash_of.cache_clear()
    if kind == "folder":
        root = folder / "objects"
        root.mkdir()
        yield Place(pafs.LocalFileSystem(), str(root), str(root))
        return
    endpoint = s3_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    storage.filesystem.cache_clear()
    bucket = f"b{abs(hash(folder)) % 10**12}"
    store = pafs.S3FileSystem(
        endpoint_override=endpoint, region="us-east-1", access_key="key", secret_key="secret",
        allow_bucket_creation=True, allow_bucket_deletion=True,
    )  # fmt: skip
    store.create_dir(bucket)
    yield Place(store, f"{bucket}/lake", f"s3://{bucket}/lake")
    store.delete_dir(bucket)
    storage.filesystem.cache_clear()
