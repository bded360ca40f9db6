"""From an address to a sample, and from a sample to drafts: what `try` and `new source` share."""

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
from headrace.scaffold.inspection.column_candidates import Tried
from headrace.scaffold.inspection.file_inspection import look
from headrace.scaffold.suite import draft_suite
from headrace.sources.relational.change_cursor import moment_of
from headrace.sources.sampling.sample import Limits, Sample
from headrace.sources.sql_changes import DELETED, NOTICED

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def take(address: str, limits: Limits) -> Sample:
    """The first rows at an address of any kind: file, folder, glob, table, HTTP, topic.

    Raises:
        DeclarationError: nothing reads such an address, or it names too little.
        SourceError: nothing there, nobody answers, or no right to read it.
    """
    found = _SCHEME.match(address)
    scheme = found[1].lower().partition("+")[0] if found else ""
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
        f"nothing reads {scheme}://",
        where=f"the address: {scheme}://…",
        fix="a path, s3://, http(s)://, postgresql://, sqlite:///, duckdb:///, nats://, redis://"
        " or kafka://",
    )


_TOPICS = {"nats", "redis", "rediss", "kafka"}
_DATABASES = {"postgresql", "postgres", "sqlite", "duckdb", "mysql", "mariadb", "mssql", "oracle"}


def sample_file(sample: Sample, folder: Path) -> Path:
    """The sample as a CSV file: drafts are made from it as from a file of the user's own."""
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
    """Empty text has quotes: without, it is no value."""
    plain = text and not re.search(r'[",\r\n]', text)
    return text if plain else '"' + text.replace('"', '""') + '"'


def asked(seen: Tried, folder: Path, like: Mapping[str, Any], *, deletions: bool = False) -> Ask:
    """What drafts are made from: the sample as a file in `folder`, and what its columns are for.

    The likeliest time and key are taken where `like`, which is as `Ask` has it, gives none. What a
    source adds to the rows of a table that it reads on is added here, too.

    Raises:
        DeclarationError: no column reads as a time, or no few tell all rows apart.
    """
    given = {key: value for key, value in like.items() if value}
    read_on = seen.sample.kind == "sql" and reads_on(seen, deletions=deletions)
    if read_on and not seen.times:
        given.setdefault("time", NOTICED)
    if "time" not in given:
        given["time"] = _likeliest(seen.times, "no column reads as a time", "--time COLUMN", seen)
    if "key" not in given:
        what = "no few columns tell all rows apart"
        given["key"] = _likeliest(seen.keys, what, "--key COLUMN, repeated", seen)
    sample = seen.sample
    partial = not sample.whole
    if read_on:
        sample = _as_changes(sample, seen.cursors[:1], deletions=deletions)
        partial = True  # deliveries are what changed: how many rows were read says nothing
        given |= {"known_at": NOTICED, **({"deleted": DELETED} if deletions else {})}
    given.setdefault("snapshot", sample.kind == "sql")
    return Ask(sample_file(sample, folder), **given, partial=partial)


def _as_changes(sample: Sample, cursor: Sequence[str], *, deletions: bool) -> Sample:
    """With the columns that `TableChanges` adds, as it fills them when it first reads the table."""
    table, now = sample.table, iso(now_us())
    texts = table[cursor[0]].to_pylist() if cursor else [None] * table.num_rows
    noticed = [now if text is None else iso(moment_of(text)) for text in texts]
    table = table.append_column(NOTICED, pa.array(noticed, pa.string()))
    if deletions:
        table = table.append_column(DELETED, pa.array(["false"] * table.num_rows, pa.string()))
    return replace(sample, table=table)


T = TypeVar("T")


def _likeliest(found: Sequence[T], what: str, option: str, seen: Tried) -> T:
    if not found:
        raise _unsaid(what, option, seen)
    return found[0]


def _unsaid(what: str, option: str, seen: Tried) -> DeclarationError:
    names = ", ".join(column.column.header for column in seen.columns)
    return DeclarationError(what, where=seen.sample.address, fix=f"say {option}, of: {names}")


def drafts(ask: Ask, pipeline: str = "drafted") -> dict[str, str]:
    """{path: YAML} of the contract and the suite.

    Raises:
        DeclarationError: its times cannot be read, its key does not tell rows apart, or rows
            contradict what the others show.
    """
    found = drafted(look(ask), pipeline)
    name = ask.table_name
    return {
        f"contracts/{name}.yaml": found.contract_text,
        f"quality_suites/{name}.yaml": draft_suite(found, pipeline),
    }
