"""How a pipeline declares what was looked at: a source in Python to start from."""

import json
from dataclasses import dataclass

from headrace.errors import DeclarationError
from headrace.scaffold.tried import Tried
from headrace.sources.databases import split_address

WHO = 'producer="not_stated"'


@dataclass(frozen=True)
class Declared:
    """A source's declaration.

    Attributes:
        call: the expression.
        imports: what it needs, as `from a import b` lines.
        partitioned: whether its slots are days.
        stream: the declaration of the stream that feeds the table, for a topic.
    """

    call: str
    imports: tuple[str, ...]
    partitioned: bool = True
    stream: str = ""


def declared(
    seen: Tried, name: str, key: tuple[str, ...] = (), *, deletions: bool = False
) -> Declared:
    """The source of a table `name` with this key; the likeliest key if none is given.

    Raises:
        DeclarationError: no source reads such answers.
    """
    sample = seen.sample
    key = key or (seen.keys[0] if seen.keys else ())
    if sample.kind == "sql":
        return _table(seen, name, key, deletions=deletions)
    if sample.kind == "http":
        return _api(seen, name)
    if sample.kind == "topic":
        place = str(sample.about["place"])
        return Declared(
            f"NoFiles({_text(name)})",
            ("from headrace.sources.base import NoFiles",),
            stream=f"Stream({_text(name)}, {place}, {WHO})",
        )
    return _files(seen, name)


def declaration(
    seen: Tried, name: str, key: tuple[str, ...] = (), *, deletions: bool = False
) -> str:
    """The one line that says it; empty where no source reads it."""
    try:
        found = declared(seen, name, key, deletions=deletions)
    except DeclarationError:
        return ""
    return found.stream or found.call


def _table(seen: Tried, name: str, key: tuple[str, ...], *, deletions: bool) -> Declared:
    url, schema, table = split_address(seen.sample.address)
    more = f", schema={_text(schema)}" if schema else ""
    given = f"{_text(name)}, {_text(url)}, {_text(table)}, {_tuple(key)}, {WHO}{more}"
    if not seen.cursors and not deletions:
        snapshot = ("from headrace.sources.sql import TableSnapshot",)
        return Declared(f"TableSnapshot({given})", snapshot, partitioned=False)
    more = f", cursor={_text(seen.cursors[0])}" if seen.cursors else ""
    more += ", deletions=True" if deletions else ""
    changes = ("from headrace.sources.sql_changes import TableChanges",)
    return Declared(f"TableChanges({given}{more})", changes, partitioned=False)


def _api(seen: Tried, name: str) -> Declared:
    if seen.sample.format != "pages":
        raise DeclarationError(
            f"no source reads {seen.sample.format} by HTTP",
            where=seen.sample.address,
            fix="fetch it into a drop folder; an API that is read answers"
            ' {"records": [...], "next": cursor or null}',
        )
    bare = seen.sample.address.partition("?")[0]
    scheme, _, rest = bare.partition("://")
    host, _, path = rest.partition("/")
    call = (
        f"CursorApi({_text(name)}, {_text(f'{scheme}://{host}')}, {_text('/' + path)},"
        f' {{"date": "{{slot}}"}}, {WHO})'
    )
    return Declared(call, ("from headrace.sources.http import CursorApi",))


def _files(seen: Tried, name: str) -> Declared:
    sample = seen.sample
    place, pattern = str(sample.about["folder"]), str(sample.about.get("pattern") or "")
    if sample.format == "parquet":
        glob = pattern or "**/*.parquet"
        given = f"{_text(name)}, {_text(place)}, {_text(glob)}, {WHO}"
        objects = ("from headrace.sources.objects import ParquetObjects",)
        return Declared(f"ParquetObjects({given})", objects, partitioned="{slot}" in glob)
    suffix = {"csv": "csv"}.get(sample.format, "ndjson")
    pattern = pattern if "/" not in pattern else ""
    given = f"{_text(name)}, Path({_text(place)}), {_text(pattern or f'{name}_{{slot}}*.{suffix}')}"
    imports = ("from pathlib import Path", "from headrace.sources.files import DropFolder")
    return Declared(f"DropFolder({given}, {WHO})", imports)


def _text(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _tuple(names: tuple[str, ...]) -> str:
    quoted = ", ".join(map(_text, names))
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"
