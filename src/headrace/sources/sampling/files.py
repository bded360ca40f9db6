"""Sampling of files: reads the first rows, and detects format, encoding and delimiter."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import SourceError
from headrace.sources.parsing.archives import CODECS, plain_name
from headrace.sources.parsing.archives import suffix_of as inner_suffix
from headrace.sources.parsing.csv_rows import csv_rows
from headrace.sources.parsing.delimited_text import decoded, separated
from headrace.sources.parsing.json_rows import ndjson_rows, page_rows
from headrace.sources.parsing.typed_text import as_texts
from headrace.sources.rows import RawRows
from headrace.sources.sampling.sample import Limits, Sample
from headrace.sources.storage import Stored, base_of, head, listed, opened

SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".ndjson": "ndjson",
    ".jsonl": "ndjson", ".parquet": "parquet", ".pq": "parquet", ".zip": "zip",
}  # fmt: skip
_SLOT = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")
# Number of files that are sampled from a folder of large files, and of small files. They are evenly
# spaced, and include the first and the last file.
_FEW, _MANY = 3, 100
_DIFFERENCES_LISTED = 3  # files with other columns that are reported


@dataclass
class SampledPart:
    """Rows sampled from one file; `complete` if these are all, `total` its row count if known."""

    table: pa.Table
    complete: bool
    format: str
    total: int | None = None
    details: dict[str, object] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sample_files(address: str, limits: Limits) -> Sample:
    """Sample the first rows of a file, or of some files of a folder or glob; local or in S3.

    Raises:
        SourceError: if there is no file, or a file is unreadable, empty or of an unknown format.
    """
    files = listed(address)
    readable = [file for file in files if suffix_of(file.name) in SUFFIXES] or files
    if not readable:
        raise SourceError(
            f"there is no file in {address}", where=address, fix="give a folder that holds data"
        )
    sampled = _evenly_spaced(readable, limits)
    file_limits = Limits(max(1, limits.rows // len(sampled)), max(1, limits.bytes // len(sampled)))
    parts = [read_part(file, file_limits) for file in sampled]
    return _joined(address, readable, sampled, parts)


def read_part(file: Stored, limits: Limits) -> SampledPart:
    """Sample the first rows of one file.

    Raises:
        SourceError: if the file is empty, unreadable or of an unknown format.
    """
    if file.size == 0:
        raise SourceError(
            f"{file.name} is empty", where=file.uri, fix="ask the producer; it may still be written"
        )
    kind = SUFFIXES.get(suffix_of(file.name)) or _sniffed(head(file.uri, 4))
    if codec := CODECS.get(PurePath(file.name).suffix.lower()):
        return _compressed(file, kind, codec, limits)
    if kind == "parquet":
        return _parquet(file, limits)
    if kind == "zip":
        return _zip(file, limits)
    data = head(file.uri, limits.bytes)
    return read_bytes(data, kind, file.uri, limits, cut=len(data) < file.size)


def _compressed(file: Stored, kind: str, codec: str, limits: Limits) -> SampledPart:
    """Sample a .gz or .zst file; at most `limits.bytes` are unpacked."""
    with opened(file.uri) as handle:
        try:
            with pa.CompressedInputStream(handle, codec) as stream:
                data = stream.read(limits.bytes)
                cut = len(data) == limits.bytes and bool(stream.read(1))
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(
                f"{file.name} is not a complete {codec} file: {error}",
                where=file.uri,
                fix="it may still be written, or was cut short on its way",
            ) from error
    if kind == "parquet":
        part = read_parquet_bytes(io.BytesIO(data), file.uri, limits)
    else:
        part = read_bytes(data, kind, file.uri, limits, cut=cut)
    part.details = {"compression": codec, **part.details}
    return part


def read_bytes(data: bytes, kind: str, where: str, limits: Limits, *, cut: bool) -> SampledPart:
    """Parse the first bytes of a text file; `cut` is True if the file has more bytes.

    Raises:
        SourceError: if the bytes are not text, or contain no row.
    """
    text, encoding, notes = decoded(data, where)
    if kind == "csv" and text.lstrip()[:1] in {"{", "["}:
        kind = "json"
    read = _READERS.get(kind, _csv)
    part = read(text, where, cut)
    part.details = {"encoding": encoding, **part.details}
    part.notes = [*notes, *part.notes]
    if part.table.num_rows > limits.rows:
        part.table, part.complete = part.table.slice(0, limits.rows), False
    return part


def _csv(text: str, where: str, cut: bool) -> SampledPart:
    plain, delimiter, notes = separated(text, where)
    payload = _without_tail(plain).encode() if cut else plain.encode()
    rows = csv_rows(payload, ("",))  # texts such as NA are handled when the columns are typed
    part = _part(rows, where, "csv", cut)
    part.details["delimiter"] = delimiter
    part.notes += notes
    if rows.columns and all(re.fullmatch(r"-?[\d.,:/ -]+", name) for name in rows.columns):
        part.notes.append("the first line looks like data: the reader takes it for the header")
    return part


def _ndjson(text: str, where: str, cut: bool) -> SampledPart:
    lines = text.rpartition("\n")[0] if cut else text
    return _part(ndjson_rows(lines.encode()), where, "ndjson", cut)


def _json(text: str, where: str, cut: bool) -> SampledPart:
    """Parse a JSON list of objects, an API page, or one object per line."""
    stripped = text.lstrip()
    if stripped.startswith("["):
        records = _elements(stripped[1:])
        lines = "".join(json.dumps(record) + "\n" for record in records)
        part = _part(ndjson_rows(lines.encode()), where, "json", cut)
        part.notes.append(
            "the text is a JSON list: deliver one object per line (.ndjson), or an API page"
        )
        return part
    first = stripped.partition("\n")[0]
    try:
        page = json.loads(stripped if not cut else first)
    except ValueError:
        return _ndjson(text, where, cut)
    if isinstance(page, dict) and isinstance(page.get("records"), list):
        part = _part(page_rows(json.dumps(page).encode()), where, "pages", cut)
        part.complete = part.complete and page.get("next") is None
        return part
    return _ndjson(text, where, cut)


_READERS: dict[str, Callable[[str, str, bool], SampledPart]] = {
    "csv": _csv,
    "json": _json,
    "ndjson": _ndjson,
}


def _elements(text: str) -> list[Any]:
    """Return the complete elements of a JSON list that may be cut off; `text` follows the "["."""
    decoder, at = json.JSONDecoder(), 0
    elements: list[Any] = []
    while True:
        at = next((n for n in range(at, len(text)) if text[n] not in " \t\r\n,"), len(text))
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return elements
        elements.append(value)


def _parquet(file: Stored, limits: Limits) -> SampledPart:
    with opened(file.uri) as handle:
        return read_parquet_bytes(handle, file.uri, limits)


def read_parquet_bytes(handle: Any, where: str, limits: Limits) -> SampledPart:  # noqa: ANN401
    """Sample the first rows of a complete Parquet file; `handle` is a seekable binary file.

    Raises:
        SourceError: if the footer is missing or damaged.
    """
    try:
        parquet = pq.ParquetFile(handle)
        table = _first_rows(parquet, limits)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"this is not a complete Parquet file: {str(error).splitlines()[0]}",
            where=where,
            fix="it may still be written: a Parquet file ends with its footer",
        ) from error
    meta, schema = parquet.metadata, parquet.schema_arrow
    texts, unreadable = as_texts(table)
    details = {
        "row_groups": meta.num_row_groups,
        "written_by": meta.created_by,
        "field_ids": any(b"PARQUET:field_id" in (column.metadata or {}) for column in schema),
    }
    return SampledPart(
        texts,
        texts.num_rows == meta.num_rows,
        "parquet",
        meta.num_rows,
        details,
        {column.name: str(column.type) for column in schema},
        [f"column {name} cannot be delivered: {why}" for name, why in unreadable.items()],
    )


def _first_rows(parquet: pq.ParquetFile, limits: Limits) -> pa.Table:
    size = min(limits.rows, 10_000)
    batches: list[pa.RecordBatch] = []
    for batch in islice(parquet.iter_batches(batch_size=size), -(-limits.rows // size)):
        batches.append(batch)
        if sum(piece.nbytes for piece in batches) > limits.bytes:
            break
    return pa.Table.from_batches(batches, schema=parquet.schema_arrow).slice(0, limits.rows)


def _zip(file: Stored, limits: Limits) -> SampledPart:
    with opened(file.uri) as handle:
        try:
            with zipfile.ZipFile(handle) as archive:
                members = [entry for entry in archive.infolist() if _is_member(entry)]
                inner = [
                    member for member in members if suffix_of(member.filename) in SUFFIXES
                ] or members
                if not inner:
                    raise SourceError(f"{file.name} holds no file", where=file.uri)
                with archive.open(inner[0]) as member:
                    data = member.read(limits.bytes)
        except (zipfile.BadZipFile, pa.ArrowInvalid) as error:
            raise SourceError(
                f"{file.name} is not a complete zip file: {error}",
                where=file.uri,
                fix="it may still be written, or was cut short on its way",
            ) from error
    name, cut = inner[0].filename, len(data) < inner[0].file_size
    kind = SUFFIXES.get(suffix_of(name), "csv")
    if kind == "parquet":
        part = read_parquet_bytes(io.BytesIO(data), f"{file.uri}!{name}", limits)
    else:
        part = read_bytes(data, kind, f"{file.uri}!{name}", limits, cut=cut)
    part.details = {"member": name, "members": len(members), **part.details}
    if len(members) > 1:
        part.notes.append(f"the zip holds {len(members)} files: only {name} was sampled")
    return part


def _is_member(entry: zipfile.ZipInfo) -> bool:
    return not entry.is_dir() and not entry.filename.startswith(("__MACOSX", "."))


def _part(rows: RawRows, where: str, kind: str, cut: bool) -> SampledPart:
    if not rows.table.num_rows:
        why = rows.malformed[0] if rows.malformed else None
        raise SourceError(
            "it has no rows" + (f": line {why.line}: {why.why}" if why else ""),
            where=where,
            fix=f"correct it: {why.text[:200]!r}" if why and why.text else "ask the producer",
        )
    notes = []
    if rows.malformed:
        first = rows.malformed[0]
        notes.append(
            f"lines that are not rows: {len(rows.malformed)}, first line {first.line}"
            f" ({first.why}); a delivery with such a line is blocked"
        )
    return SampledPart(rows.table, not cut, kind, None if cut else rows.delivered, notes=notes)


def _without_tail(text: str) -> str:
    """Return the text without its last line, which may be incomplete.

    If that line is within a quoted field, one malformed row remains.
    """
    return text[: text.rstrip("\n").rfind("\n") + 1]


def suffix_of(name: str) -> str:
    """Return the lower-case suffix of the uncompressed file: `.csv` for `A.CSV.gz`."""
    return inner_suffix(name.lower())


def _sniffed(start: bytes) -> str:
    return "parquet" if start == b"PAR1" else "zip" if start[:2] == b"PK" else "csv"


def _evenly_spaced(files: Sequence[Stored], limits: Limits) -> list[Stored]:
    """Return evenly spaced files: up to 100 if all together fit the byte limit, otherwise 3."""
    filled = [file for file in files if file.size] or list(files)
    small = sum(file.size for file in filled) <= limits.bytes
    count = min(len(filled), _MANY if small else _FEW)
    places = [round(n * (len(filled) - 1) / max(count - 1, 1)) for n in range(count)]
    return [filled[place] for place in places]


def _joined(
    address: str, files: Sequence[Stored], sampled: Sequence[Stored], parts: Sequence[SampledPart]
) -> Sample:
    first = parts[0]
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    rest = zip(sampled[1:], parts[1:], strict=True)
    differing = [
        difference for f, part in rest for difference in _differences(sampled[0], first, f, part)
    ]
    notes += differing[:_DIFFERENCES_LISTED]
    complete = len(files) == len(parts) and all(part.complete for part in parts)
    total = sum(part.total or 0 for part in parts)
    has_total = len(files) == len(parts) and all(part.total is not None for part in parts)
    details: dict[str, object] = dict(first.details)
    details |= {"files": len(files), "bytes": sum(file.size for file in files)}
    base = base_of(address)
    details["folder"] = base
    if pattern := _slots(files, base):
        details["pattern"] = pattern
    return Sample(
        address=address,
        kind="file",
        format=first.format,
        name=_name(files, base, pattern),
        table=pa.concat_tables([part.table for part in parts], promote_options="default"),
        complete=complete,
        total=total if has_total else None,
        details=details,
        declared=first.declared,
        notes=tuple(notes),
    )


def _differences(
    first: Stored, first_part: SampledPart, other: Stored, part: SampledPart
) -> list[str]:
    before, after = set(first_part.table.column_names), set(part.table.column_names)
    missing, new = sorted(before - after), sorted(after - before)
    changes = [f"no {', '.join(missing)}"] if missing else []
    changes += [f"also {', '.join(new)}"] if new else []
    return (
        [f"{other.name} has other columns than {first.name}: {'; '.join(changes)}"]
        if changes
        else []
    )


def _slots(files: Sequence[Stored], base: str) -> str:
    """Return the files' common path pattern below `base`, with `{slot}` for the day; "" if none."""
    names = [plain_name(file.uri.removeprefix(f"{base}/")) for file in files]
    forms = {_SLOT.sub("{slot}", name, count=1) for name in names}
    folders = {form.rpartition("/")[0] for form in forms}
    if len(forms) > 1 and len(folders) == 1:
        forms = {f"{folders.pop()}/*{suffix_of(files[0].name)}".lstrip("/")}
    slots = forms.pop() if len(forms) == 1 else ""
    return slots if "{slot}" in slots else ""


def _name(files: Sequence[Stored], base: str, pattern: str) -> str:
    if len(files) == 1 and not pattern:
        return plain_name(files[0].name).rsplit(".", 1)[0]
    stem = pattern.rpartition("/")[2].replace("{slot}", "").rsplit(".", 1)[0].strip("_-. *")
    return stem or base.rsplit("/", 1)[-1]
