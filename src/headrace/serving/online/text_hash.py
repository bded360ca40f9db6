"""64-bit hash codes of texts; a text has the same code in every store."""

import hashlib
from functools import lru_cache


@lru_cache(maxsize=1 << 18)
def text_code(text: str) -> int:
    """Return the code of a text."""
    return code_of(text.encode())


def code_of(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


def text_key(code: int) -> bytes:
    """Return the store key under which the text of a code is stored."""
    return b"t" + code.to_bytes(8, "big", signed=True)
