"""Sampling of HTTP addresses: reads the first rows of a response."""

import io
import re
from urllib.parse import urlsplit

from headrace.core.errors import SourceError
from headrace.sources.sampling.files import (
    SUFFIXES,
    SampledPart,
    read_bytes,
    read_parquet_bytes,
    suffix_of,
)
from headrace.sources.sampling.sample import Limits, Sample

_TYPES = {
    "text/csv": "csv",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/vnd.apache.parquet": "parquet",
    "application/zip": "zip",
}
_ADVICE = {
    401: "authentication is required: give the source `headers` with an authorisation",
    403: "access is denied: give the source `headers` with an authorisation",
    404: "check the path of the address",
    429: "the server limits the number of requests: try again later",
}


def sample_http(address: str, limits: Limits) -> Sample:
    """Sample the response to one GET request, up to `limits.bytes`.

    Raises:
        SourceError: if the server does not answer or returns an HTTP error, or the response has no
            rows.
    """
    import requests

    safe_address = _without_secrets(address)
    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.get(address, stream=True, timeout=(5, 30)) as answer:
                _require_ok(answer, safe_address)
                data = answer.raw.read(limits.bytes + 1, decode_content=True)
                content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    except (requests.RequestException, OSError) as error:
        raise SourceError(
            f"no answer: {_reason(error)}",
            where=safe_address,
            fix="check that the service runs and the address is right",
        ) from error
    part = _read(data, content_type, address, limits)
    return Sample(
        address=safe_address,
        kind="http",
        format=part.format,
        name=_name(address),
        table=part.table,
        complete=part.complete,
        total=part.total,
        details={"content_type": content_type or "not stated", **part.details, "bytes": len(data)},
        declared=part.declared,
        notes=tuple(part.notes),
    )


def _read(data: bytes, content_type: str, address: str, limits: Limits) -> SampledPart:
    where, cut = _without_secrets(address), len(data) > limits.bytes
    if not data.strip():
        raise SourceError("the answer is empty", where=where, fix="check path and parameters")
    kind = SUFFIXES.get(suffix_of(urlsplit(address).path)) or _TYPES.get(content_type, "csv")
    if kind not in {"parquet", "zip"}:
        if data.lstrip()[:1] == b"<":
            raise SourceError(
                "the response is an HTML page, not data", where=where, fix="ask for its API"
            )
        return read_bytes(data[: limits.bytes], kind, where, limits, cut=cut)
    if kind == "parquet" and not cut:
        return read_parquet_bytes(io.BytesIO(data), where, limits)
    raise SourceError(
        f"a {kind} response cannot be sampled in part",
        where=where,
        fix="download it, and inspect the file",
    )


def _require_ok(answer: "object", safe_address: str) -> None:
    status = int(getattr(answer, "status_code", 0))
    if status >= 400:
        text = str(getattr(answer, "text", ""))[:200]
        raise SourceError(
            f"HTTP {status} {getattr(answer, 'reason', '')}: {text}",
            where=safe_address,
            fix=_ADVICE.get(status, "the service is down or refuses: ask its owner"),
        )


def _without_secrets(address: str) -> str:
    """Return the address without user and password, and with `***` for values of secret params."""
    bare = re.sub(r"//[^/@]*@", "//", address)
    return re.sub(r"(?i)([?&][^=&]*(?:key|token|secret|password)[^=&]*=)[^&]*", r"\1***", bare)


def _reason(error: Exception) -> str:
    text = str(error)
    for part in ("Connection refused", "Name or service not known", "timed out", "certificate"):
        if part in text:
            return part
    return _without_secrets(text[:200])


def _name(address: str) -> str:
    parts = urlsplit(address)
    last = parts.path.rstrip("/").rsplit("/", 1)[-1]
    return last.rsplit(".", 1)[0] or parts.hostname or "answer"
