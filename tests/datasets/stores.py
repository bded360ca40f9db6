"""Stores to test: a folder, and a bucket of a real S3 server in this process."""

import uuid

from headrace.datasets.store.store import Store
from tests.sources.buckets import s3_server

PLACES = ["folder", "bucket"]


def bucket_root(monkeypatch) -> str:
    """`s3://bucket/prefix` of a bucket that is new."""
    import pyarrow.fs as pafs

    from headrace.sources import storage

    endpoint = s3_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    storage.filesystem.cache_clear()
    bucket = f"store-{uuid.uuid4().hex[:12]}"
    pafs.S3FileSystem(
        endpoint_override=endpoint, region="us-east-1", access_key="key", secret_key="secret",
        allow_bucket_creation=True,
    ).create_dir(bucket)  # fmt: skip
    return f"s3://{bucket}/some/where"


def store_at(place, tmp_path, monkeypatch) -> Store:
    root = tmp_path / "store" if place == "folder" else bucket_root(monkeypatch)
    return Store.find(root)
