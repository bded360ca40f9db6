"""The secret that pseudonyms and erasure records are made with. It is read, never stored or logged.

    HEADRACE_PRIVACY_KEY_FILE   a file that holds it, as secret stores mount one
    HEADRACE_PRIVACY_KEY        the secret itself

The first line is the key. Further lines are earlier keys: nothing new is made with them, but
erasures that were recorded with one are still told by it.

Manifests name a key by its `id`, which tells two keys apart and leads back to neither.
"""

import hmac
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

from headrace.core.errors import DeclarationError, StateError

FILE, TEXT = "HEADRACE_PRIVACY_KEY_FILE", "HEADRACE_PRIVACY_KEY"
LEAST = 32
_FIX = (
    f"put at least {LEAST} random characters (openssl rand -hex 32) into a file that only you read,"
    f" keep a copy where you keep secrets, and set {FILE} to its path"
)
Value = str | int | bytes


@dataclass(frozen=True)
class PrivacyKey:
    """A secret; its text shows nowhere, also not in a traceback."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST:
            raise DeclarationError(
                f"the privacy key has {len(self.secret)} characters, fewer than {LEAST}: "
                "it could be guessed",
                where=f"{FILE} or {TEXT}",
                fix=_FIX,
            )

    @classmethod
    def find(cls, what: str) -> "PrivacyKey":
        """The key of this environment. Raises StateError, naming `what` needs it, if there is none.

        White space around it does not count, so that an editor's last newline makes no other key.
        """
        return cls.given(what)[0]

    @classmethod
    def given(cls, what: str) -> list["PrivacyKey"]:
        """The key, and after it the earlier ones, which erasures of then are told by."""
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
        """16 hex digits: the same for the same key, and no way back to it."""
        return self._digest("headrace-key-id-1", b"").hex()[:16]

    def pseudonym(self, value: Value) -> Value:
        """What stands for `value`: text of 32 hex digits, an int in [0, 2^63) or 16 bytes.

        Equal values of one type have equal pseudonyms, in every column, dataset and release.
        """
        digest = self._digest("headrace-pseudonym-1", _bytes(value))
        if isinstance(value, str):
            return digest.hex()[:32]
        return int.from_bytes(digest[:8], "little") >> 1 if isinstance(value, int) else digest[:16]

    def subject(self, entity: str, value: Value) -> str:
        """64 hex digits for `value` of column `entity` in the records of erasures."""
        return self._digest(f"headrace-erasure-1\n{entity}", _bytes(value)).hex()

    def _digest(self, domain: str, message: bytes) -> bytes:
        return hmac.digest(self.secret, domain.encode() + b"\n" + message, "sha256")


def _bytes(value: Value) -> bytes:
    """A value with its type, so that the text "5" and the number 5 differ."""
    if isinstance(value, int):
        return b"int64\n" + struct.pack("<q", value)
    return b"string\n" + value.encode() if isinstance(value, str) else b"binary\n" + value
