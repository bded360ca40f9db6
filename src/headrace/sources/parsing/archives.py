"""Reading of compressed files: `.gz`, `.zst`, and `.zip` with one member.

A `.gz` or `.zst` file is delivered compressed and unpacked when it is parsed, so its batch id is
that of the compressed bytes. A `.zip` file must have one member, and only the member is delivered.
An unreadable archive is delivered unchanged: the gate blocks its batch and reports the reason, and
other deliveries are not affected.
"""

import io
import zipfile
import zlib
from pathlib import PurePath

import pyarrow as pa

from headrace.core.errors import SourceError

CODECS = {".gz": "gzip", ".zst": "zstd"}
ZIP = ".zip"
_LISTED = 5


def plain_name(name: str) -> str:
    """Return the name without a compression suffix: `a.csv` for `a.csv.gz`."""
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in CODECS else name


def suffix_of(name: str) -> str:
    """Return the suffix of the uncompressed file: `.csv` for `a.csv.gz`; `.zip` stays `.zip`."""
    return PurePath(plain_name(name)).suffix


def with_codecs(pattern: str) -> tuple[str, ...]:
    """Return a file name pattern, and the patterns of the same files compressed."""
    if PurePath(pattern).suffix in {*CODECS, ZIP}:
        return (pattern,)
    return (pattern, *(pattern + suffix for suffix in CODECS))


def content(payload: bytes, origin: str, formats: tuple[str, ...]) -> bytes:
    """Return the uncompressed bytes of a delivered file.

    Args:
        payload: the file as delivered.
        origin: its address, whose suffix determines the compression.
        formats: suffixes that are accepted for the member of a zip.

    Raises:
        SourceError: if the file cannot be unpacked.
    """
    suffix = PurePath(origin).suffix.lower()
    if suffix in CODECS:
        return _decompressed(payload, origin, CODECS[suffix])
    if suffix == ZIP:
        return unzipped(payload, origin, formats)[0]
    return payload


def _decompressed(payload: bytes, origin: str, codec: str) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(payload), codec) as stream:
            text: bytes = stream.read()
    except OSError as error:
        cut = "truncated" in str(error).lower()
        why = "is cut short" if cut else f"is damaged, or is not {codec} data ({error})"
        raise _unreadable(origin, f"the {PurePath(origin).suffix} file {why}") from error
    return text


def unzipped(payload: bytes, origin: str, formats: tuple[str, ...]) -> tuple[bytes, str]:
    """Return the only member of a zip, and its address as `archive.zip!member`.

    Raises:
        SourceError: if the zip cannot be read, or does not contain exactly one file with a suffix
            in `formats`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            names = [name for name in archive.namelist() if _is_member(name)]
            if len(names) == 1 and PurePath(names[0]).suffix in formats:
                return archive.read(names[0]), f"{origin}!{names[0]}"
    except RuntimeError as error:  # password-protected, or an unsupported compression method
        raise _unreadable(origin, f"the zip cannot be unpacked: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise _unreadable(origin, _damage(payload, error)) from error
    if not names:
        raise _unreadable(origin, "the zip holds no file")
    if len(names) == 1:
        raise _unreadable(origin, f"the zip holds {names[0]}, which ends in none of {formats}")
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = ", ".join(names[:_LISTED]) + rest
    raise _unreadable(origin, f"the zip holds {len(names)} files: {listed}; deliver one file a zip")


def _damage(payload: bytes, error: Exception) -> str:
    if not payload.startswith(b"PK"):
        return "the file is named .zip and is not a zip"
    if b"PK\x05\x06" not in payload[-(1 << 16) - 22 :]:  # the record that ends every zip file
        return "the zip is cut short"
    return f"the zip is damaged: {error}"


def _is_member(name: str) -> bool:
    return not name.endswith("/") and not name.startswith(("__MACOSX", "."))


def _unreadable(origin: str, why: str) -> SourceError:
    return SourceError(why, where=origin, fix="ask the producer to deliver the file again")
