"""API keys: read from a file or the environment, compared in constant time, never shown."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from headrace.core.errors import DeclarationError
from headrace.serving.http.errors import HttpError

VARIABLE = "HEADRACE_API_KEY"
SHORTEST = 16
BEARER = "bearer "


@dataclass(frozen=True)
class ApiKeys:
    """Digests of the accepted API keys; without keys every request is accepted.

    There may be several, so that keys can be rotated.
    """

    digests: tuple[bytes, ...] = field(default=(), repr=False)

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the key of a request against all accepted keys, in constant time.

        Raises:
            HttpError: 401: neither `Authorization: Bearer` nor `X-API-Key` has an accepted key.
        """
        if not self.digests:
            return
        sent = sha256(_sent_key(headers).encode("utf-8", "replace")).digest()
        if not sum([compare_digest(sent, digest) for digest in self.digests]):
            raise HttpError(
                401,
                "the API key is missing or wrong",
                fix="send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
            )


def read_keys(path: Path | None) -> ApiKeys:
    """Read API keys from a file (one per line) or from `HEADRACE_API_KEY` (comma-separated).

    Raises:
        DeclarationError: the file is missing or empty, or a key is short or not plain ASCII.
    """
    where = str(path) if path else VARIABLE
    lines = _lines(path) if path else os.environ.get(VARIABLE, "").split(",")
    keys = [key.strip() for key in lines if key.strip()]
    if path and not keys:
        raise DeclarationError("there is no API key", where=where, fix="write one key per line")
    if any(len(key) < SHORTEST or not key.isascii() or not key.isprintable() for key in keys):
        raise DeclarationError(
            f"an API key is shorter than {SHORTEST} characters, or not plain ASCII",
            where=where,
            fix="python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return ApiKeys(tuple(sha256(key.encode()).digest() for key in keys))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"the file of API keys cannot be read: {type(error).__name__}",
            where=str(path),
            fix="name a text file that this process may read",
        ) from error


def _sent_key(headers: Mapping[str, str]) -> str:
    bearer = headers.get("authorization", "")
    if bearer[: len(BEARER)].lower() == BEARER:
        return bearer[len(BEARER) :].strip()
    return headers.get("x-api-key", "")
