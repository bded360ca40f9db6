"""Read-only access to local files and S3 objects (`s3://bucket/key`).

Credentials come from the usual AWS places (AWS_ACCESS_KEY_ID, profiles, roles); `AWS_ENDPOINT_URL`
selects an S3-compatible store other than Amazon's.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from headrace.core.errors import SourceError

S3 = "s3://"
UNFINISHED = (".part", ".tmp")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Stored:
    """File or object as listed by its store; `modified` is in int64 microseconds UTC."""

    uri: str
    size: int
    modified: int

    @property
    def name(self) -> str:
        return self.uri.rsplit("/", 1)[-1]


def require(address: str) -> None:
    """Raise SourceError if the folder or prefix does not exist; it may be empty."""
    import pyarrow.fs as pafs

    prefix, path = _split(address)
    with explained(address):
        info = filesystem(prefix).get_file_info(path.rstrip("/"))
    if info.type == pafs.FileType.NotFound:
        raise _not_found(address, path)


def listed(address: str, *, hidden: bool = False, missing_ok: bool = False) -> list[Stored]:
    """List the files at an address: one file, a folder or a glob (`*`, `?`, `**`); sorted by URI.

    Names that start with `.` or `_`, or end in .part or .tmp, are omitted unless `hidden`. With
    `missing_ok`, a missing address gives an empty list.

    Raises:
        SourceError: if the address does not exist, or the store refuses access.
    """
    import pyarrow.fs as pafs

    prefix, path = _split(address)
    with explained(address):
        store = filesystem(prefix)
        wild = _WILD.search(path)
        base = path[: wild.start()].rpartition("/")[0] if wild else path.rstrip("/")
        info = store.get_file_info(base or "/")
        if info.type == pafs.FileType.NotFound:
            if missing_ok:
                return []
            raise _not_found(address, base)
        if info.type == pafs.FileType.File:
            return [_stored(prefix, info)]
        deep = wild is None or "/" in path[wild.start() :]
        entries = store.get_file_info(pafs.FileSelector(base, recursive=deep))
    pattern = _pattern(path) if wild else None
    files = [
        _stored(prefix, entry)
        for entry in entries
        if entry.type == pafs.FileType.File and (pattern is None or pattern.fullmatch(entry.path))
    ]
    return sorted((f for f in files if hidden or is_data(f.name)), key=lambda f: f.uri)


def base_of(address: str) -> str:
    """Return the folder of an address: a file's parent, a glob's fixed part, or a folder itself."""
    prefix, path = _split(address)
    wild = _WILD.search(path)
    if wild:
        return prefix + path[: wild.start()].rpartition("/")[0]
    return prefix + (path.rpartition("/")[0] if stat(address) else path.rstrip("/"))


def is_data(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith(UNFINISHED)


def stat(uri: str) -> Stored | None:
    """Return the file's current size and modification time; None if it does not exist."""
    import pyarrow.fs as pafs

    prefix, path = _split(uri)
    with explained(uri):
        info = filesystem(prefix).get_file_info(path)
    return _stored(prefix, info) if info.type == pafs.FileType.File else None


@contextmanager
def opened(uri: str) -> Iterator[Any]:
    """Open the file as a seekable `pyarrow.NativeFile`."""
    prefix, path = _split(uri)
    with explained(uri):
        handle = filesystem(prefix).open_input_file(path)
    with handle:
        yield handle


def head(uri: str, limit: int) -> bytes:
    """Return the file's first `limit` bytes."""
    with opened(uri) as handle, explained(uri):
        data: bytes = handle.read(limit)
        return data


@lru_cache(maxsize=8)
def filesystem(prefix: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the pyarrow filesystem for a prefix: `s3://`, or "" for local files."""
    import pyarrow.fs as pafs

    if prefix != S3:
        return pafs.LocalFileSystem()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return pafs.S3FileSystem(
        endpoint_override=endpoint,
        region=region or ("us-east-1" if endpoint else None),
        connect_timeout=5,
        request_timeout=60,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=3),
    )


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Convert a store's OSErrors within the block to SourceErrors with a fix."""
    try:
        yield
    except OSError as error:
        text = str(error)
        raise SourceError(
            f"cannot read {address}: {_short(text)}", where=address, fix=_advice(text)
        ) from error


_ADVICE = (
    ("ACCESS_DENIED", "ask for the right to list and read it: s3:ListBucket, s3:GetObject"),
    ("InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
    ("NO_SUCH_BUCKET", "check the bucket's name, the region and AWS_ENDPOINT_URL"),
    ("NETWORK_CONNECTION", "check that the store runs, and AWS_ENDPOINT_URL"),
    ("Permission denied", "ask for the right to read it"),
)


def _advice(text: str) -> str:
    fixes = (fix for part, fix in _ADVICE if part.lower() in text.lower())
    return next(fixes, "check that it is still there and may be read")


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "…"


def _not_found(address: str, base: str) -> SourceError:
    local = not address.startswith(S3)
    parent = Path(base).parent
    near = sorted(p.name for p in parent.iterdir())[:8] if local and parent.is_dir() else []
    fix = f"{parent} contains: {', '.join(near)}" if near else "check the address"
    return SourceError(f"there is nothing at {address}", where=address, fix=fix)


def _split(address: str) -> tuple[str, str]:
    if address.startswith(S3):
        return S3, address.removeprefix(S3)
    return "", str(Path(address.removeprefix("file://")).expanduser().absolute())


def _stored(prefix: str, info: Any) -> Stored:  # noqa: ANN401
    return Stored(prefix + info.path, int(info.size), int(info.mtime_ns or 0) // 1000)


def _pattern(path: str) -> re.Pattern[str]:
    """Convert a glob to a regex over whole paths; `*` does not match `/`, `**` does."""
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]*\])", path)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(
            meaning.get(part) or (part if part.startswith("[") else re.escape(part))
            for part in parts
        )
    )
