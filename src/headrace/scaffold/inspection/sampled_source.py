"""Sampling of an address, and drafts from the sample, for `source inspect` and `new source`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError
from headrace.core.files import write_atomically
from headrace.scaffold.answers import Ask, plain_name
from headrace.scaffold.declarations import reads_on
from headrace.scaffold.drafts import drafted
from headrace.scaffold.inspection.column_candidates import InspectedSample
from headrace.scaffold.inspection.file_inspection import look
from headrace.scaffold.suite import draft_suite
from headrace.sources.relational.change_cursor import moment_of
from headrace.sources.sampling.sample import Limits, Sample
from headrace.sources.sql_changes import DELETED, NOTICED

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def take(address: str, limits: Limits) -> Sample:
    """Read the first rows at any address: file, folder, glob, database table, HTTP URL or topic.

    Raises:
        DeclarationError: if no source reads such an address, or it is incomplete.
        SourceError: if the address does not exist, does not answer, or may not be read.
    """
    prefix = _SCHEME.match(address)
    scheme = prefix[1].lower().partition("+")[0] if prefix else ""
    if scheme in {"", "s3", "file"}:
        from headrace.sources.sampling.files import sample_files

        return sample_files(address, limits)
    if scheme in {"http", "https"}:
        from headrace.sources.sampling.http import sample_http

        return sample_http(address, limits)
    if scheme in _TOPICS:
        from headrace.streams.sample import sample_topic

        return sample_topic(address, limits)
    if scheme in _DATABASES:
        from headrace.sources.sampling.sql import sample_sql

        return sample_sql(address, limits)
    raise DeclarationError(
        f"Headrace cannot read {scheme}:// addresses",
        where=f"the address: {scheme}://…",
        fix="a path, s3://, http(s)://, postgresql://, sqlite:///, duckdb:///, nats://, redis://"
        " or kafka://",
    )


_TOPICS = {"nats", "redis", "rediss", "kafka"}
_DATABASES = {"postgresql", "postgres", "sqlite", "duckdb", "mysql", "mariadb", "mssql", "oracle"}


def sample_file(sample: Sample, folder: Path) -> Path:
    """Write the sample as a CSV file, because drafts are made from CSV files."""
    columns = [column.to_pylist() for column in sample.table.columns]
    rows = zip(*columns, strict=True)
    lines = [",".join(map(_quoted, sample.table.column_names))]
    lines += [",".join("" if cell is None else _quoted(cell) for cell in row) for row in rows]
    path = folder / f"{table_name(sample)}.csv"
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return path


def table_name(sample: Sample) -> str:
    return plain_name(sample.name)[:41].rstrip("_")


def _quoted(text: str) -> str:
    """Quote a cell if necessary; empty text must be quoted, because an empty cell means null."""
    plain = text and not re.search(r'[",\r\n]', text)
    return text if plain else '"' + text.replace('"', '""') + '"'


def ask_from_sample(
    inspected: InspectedSample, folder: Path, like: Mapping[str, Any], *, deletions: bool = False
) -> Ask:
    """Write the sample as a file in `folder`, and return an `Ask` for it with its columns' roles.

    `like` holds the user's answers, by field name of `Ask`. If it has no time or key, the likeliest
    columns are used. If the source is to be read incrementally, the columns that it would add to
    the table are added to the sample.

    Raises:
        DeclarationError: if no column is a time, or no small set of columns identifies every row.
    """
    answers = {key: value for key, value in like.items() if value}
    read_on = inspected.sample.kind == "sql" and reads_on(inspected, deletions=deletions)
    if read_on and not inspected.times:
        answers.setdefault("time", NOTICED)
    if "time" not in answers:
        answers["time"] = _likeliest(
            inspected.times, "no column can be read as a time", "--time COLUMN", inspected
        )
    if "key" not in answers:
        what = "no small set of columns identifies every row"
        answers["key"] = _likeliest(inspected.keys, what, "--key COLUMN, repeated", inspected)
    sample = inspected.sample
    partial = not sample.complete
    if read_on:
        sample = _as_changes(sample, inspected.cursors[:1], deletions=deletions)
        partial = True  # deliveries hold only changed rows: the sample's row count means nothing
        answers |= {"known_at": NOTICED, **({"deleted": DELETED} if deletions else {})}
    answers.setdefault("snapshot", sample.kind == "sql")
    return Ask(sample_file(sample, folder), **answers, partial=partial)


def _as_changes(sample: Sample, cursor: Sequence[str], *, deletions: bool) -> Sample:
    """Add the columns that `TableChanges` adds, with the values that its first load would have."""
    table, now = sample.table, iso(now_us())
    texts = table[cursor[0]].to_pylist() if cursor else [None] * table.num_rows
    noticed = [now if text is None else iso(moment_of(text)) for text in texts]
    table = table.append_column(NOTICED, pa.array(noticed, pa.string()))
    if deletions:
        table = table.append_column(DELETED, pa.array(["false"] * table.num_rows, pa.string()))
    return replace(sample, table=table)


T = TypeVar("T")


def _likeliest(candidates: Sequence[T], what: str, option: str, inspected: InspectedSample) -> T:
    if not candidates:
        raise _unsaid(what, option, inspected)
    return candidates[0]


def _unsaid(what: str, option: str, inspected: InspectedSample) -> DeclarationError:
    names = ", ".join(column.column.header for column in inspected.columns)
    return DeclarationError(
        what, where=inspected.sample.address, fix=f"give {option}; columns: {names}"
    )


def drafts(ask: Ask, pipeline: str = "drafted") -> dict[str, str]:
    """Draft a contract and a suite; return {path: YAML}.

    Raises:
        DeclarationError: if the times cannot be parsed, the key is not unique, or some rows break
            the drafted contract.
    """
    facts = drafted(look(ask), pipeline)
    name = ask.table_name
    return {
        f"contracts/{name}.yaml": facts.contract_text,
        f"quality_suites/{name}.yaml": draft_suite(facts, pipeline),
    }
