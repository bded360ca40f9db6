"""From an address to a sample, and from a sample to drafts: what `try` and `new source` share."""

import re
from dataclasses import replace
from pathlib import Path

from headrace.errors import DeclarationError
from headrace.files import write_atomically
from headrace.scaffold.ask import Ask, plain_name
from headrace.scaffold.contract import draft_contract
from headrace.scaffold.facts import facts
from headrace.scaffold.look import look
from headrace.scaffold.suite import draft_suite
from headrace.scaffold.tried import Tried
from headrace.sources.sample import Limits, Sample

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
        from headrace.sources.sample_files import sample_files

        return sample_files(address, limits)
    if scheme in {"http", "https"}:
        from headrace.sources.sample_http import sample_http

        return sample_http(address, limits)
    if scheme in _TOPICS:
        from headrace.streams.sample import sample_topic

        return sample_topic(address, limits)
    if scheme in _DATABASES:
        from headrace.sources.sample_sql import sample_sql

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


def filled_in(ask: Ask, seen: Tried) -> Ask:
    """With the likeliest time and key, where none was given."""
    if not (ask.time or seen.times):
        raise _unsaid("no column reads as a time", "--time COLUMN", seen)
    if not (ask.key or seen.keys):
        raise _unsaid("no few columns tell all rows apart", "--key COLUMN, repeated", seen)
    return replace(ask, time=ask.time or seen.times[0], key=ask.key or seen.keys[0])


def _unsaid(what: str, option: str, seen: Tried) -> DeclarationError:
    names = ", ".join(one.column.header for one in seen.columns)
    return DeclarationError(what, where=seen.sample.address, fix=f"say {option}, of: {names}")


def drafts(ask: Ask, pipeline: str = "drafted") -> dict[str, str]:
    """{path: YAML} of the contract and the suite.

    Raises:
        DeclarationError: its times cannot be read, its key does not tell rows apart, or rows
            contradict what the others show.
    """
    seen = look(ask)
    contract = draft_contract(seen, pipeline=pipeline, consumers=[])
    suite = draft_suite(facts(seen, contract), pipeline)
    name = ask.table_name
    return {f"contracts/{name}.yaml": contract, f"quality_suites/{name}.yaml": suite}
