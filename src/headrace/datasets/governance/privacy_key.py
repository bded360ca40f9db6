"""Secret key of pseudonyms and erasure records. It is read, but never stored or logged.

    HEADRACE_PRIVACY_KEY_FILE   path of a file with the secret, for mounted secrets
    HEADRACE_PRIVACY_KEY        the secret itself

The first line is the key. Further lines are earlier keys. They make no new pseudonyms, but
erasures that were recorded with an earlier key still need it.

Manifests name a key by its `id`, which distinguishes keys without revealing them.
"""

import hmac
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

from headrace.core.errors import DeclarationError, StateError

FILE, TEXT = "HEADRACE_PRIVACY_KEY_FILE", "HEADRACE_PRIVACY_KEY"
MIN_LENGTH = 32
_FIX = (
    f"put at least {MIN_LENGTH} random characters (openssl rand -hex 32) into a file that only you"
    f" read, keep a copy where you keep secrets, and set {FILE} to its path"
)
Value = str | int | bytes


@dataclass(frozen=True)
class PrivacyKey:
    """A secret that is never shown, not even in a traceback."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_LENGTH:
            raise DeclarationError(
                f"the privacy key has {len(self.secret)} characters, fewer than {MIN_LENGTH}: "
                "it could be guessed",
                where=f"{FILE} or {TEXT}",
                fix=_FIX,
            )

    @classmethod
    def find(cls, what: str) -> "PrivacyKey":
        """The key of this environment. Raises StateError, naming `what`, if there is none.

        White space around the key is ignored, so that an editor's final newline does not change it.
        """
        return cls.find_all(what)[0]

    @classmethod
    def find_all(cls, what: str) -> list["PrivacyKey"]:
        """The key, followed by earlier keys, which old erasure records need."""
        path, text = os.environ.get(FILE), os.environ.get(TEXT)
        if path:
            try:
                text = Path(path).read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise StateError(
                    f"the privacy key cannot be read: {getattr(error, 'strerror', 'not UTF-8')}",
                    where=path,
                    fix=_FIX,
                ) from None  # a decoding error would show the bytes
        lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
        if not lines:
            raise StateError(f"{what} needs a privacy key, and none is given", where=FILE, fix=_FIX)
        return [cls(line.encode()) for line in lines]

    @property
    def id(self) -> str:
        """16 hex digits that identify the key without revealing it."""
        return self._digest("headrace-key-id-1", b"").hex()[:16]

    def pseudonym(self, value: Value) -> Value:
        """Pseudonym of `value`: text of 32 hex digits, an int in [0, 2^63) or 16 bytes.

        Equal values of one type have equal pseudonyms, in every column, dataset and release.
        """
        digest = self._digest("headrace-pseudonym-1", _bytes(value))
        if isinstance(value, str):
            return digest.hex()[:32]
        return int.from_bytes(digest[:8], "little") >> 1 if isinstance(value, int) else digest[:16]

    def subject(self, entity: str, value: Value) -> str:
        """Digest (64 hex digits) of `value` in column `entity`, for erasure requests."""
        return self._digest(f"headrace-erasure-1\n{entity}", _bytes(value)).hex()

    def _digest(self, domain: str, message: bytes) -> bytes:
        return hmac.digest(self.secret, domain.encode() + b"\n" + message, "sha256")


def _bytes(value: Value) -> bytes:
    """Bytes of a value with its type, so that the text "5" and the number 5 differ."""
    if isinstance(value, int):
        return b"int64\n" + struct.pack("<q", value)
    return b"string\n" + value.encode() if isinstance(value, str) else b"binary\n" + value
