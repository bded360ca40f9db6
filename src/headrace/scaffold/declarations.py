"""How a pipeline declares what was looked at: a source in Python to start from."""

import json
from dataclasses import dataclass

from headrace.core.errors import DeclarationError
from headrace.scaffold.inspection.column_candidates import Tried
from headrace.sources.relational.connections import split_address

WHO = 'producer="not_stated"'
_WIDTH = 88


@dataclass(frozen=True)
class Declared:
    """A source's declaration.

    Attributes:
        kind, arguments: of the expression that makes it.
        imports: what it needs, as `from a import b` lines.
        partitioned: whether its slots are days.
        stream: the declaration of the stream that feeds the table, for a topic.
    """

    kind: str
    arguments: tuple[str, ...]
    imports: tuple[str, ...]
    partitioned: bool = True
    stream: str = ""

    @property
    def call(self) -> str:
        """The expression on one line."""
        return f"{self.kind}({', '.join(self.arguments)})"

    def lines(self, indent: str) -> str:
        """The expression, an argument a line where one line is too long."""
        if len(self.call) < _WIDTH:
            return self.call
        inner = "".join(f"{indent}    {argument},\n" for argument in self.arguments)
        return f"{self.kind}(\n{inner}{indent})"


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
            "NoFiles",
            (_text(name),),
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
    given = [_text(name), _text(url), _text(table), _tuple(key), WHO]
    given += [f"schema={_text(schema)}"] if schema else []
    if not reads_on(seen, deletions=deletions):
        snapshot = ("from headrace.sources.sql import TableSnapshot",)
        return Declared("TableSnapshot", tuple(given), snapshot, partitioned=False)
    given += [f"cursor={_text(seen.cursors[0])}"] if seen.cursors else []
    given += ["deletions=True"] if deletions else []
    changes = ("from headrace.sources.sql_changes import TableChanges",)
    return Declared("TableChanges", tuple(given), changes, partitioned=False)


def reads_on(seen: Tried, *, deletions: bool) -> bool:
    """Whether a table is better read on: it has a cursor, or nothing says when its rows changed."""
    return bool(seen.cursors) or deletions or not seen.times


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
    given = (_text(name), _text(f"{scheme}://{host}"), _text(f"/{path}"))
    slot = '{"date": "{slot}"}'
    return Declared(
        "CursorApi", (*given, slot, WHO), ("from headrace.sources.http import CursorApi",)
    )


def _files(seen: Tried, name: str) -> Declared:
    sample = seen.sample
    place, pattern = str(sample.about["folder"]), str(sample.about.get("pattern") or "")
    if sample.format == "parquet":
        glob = pattern or "**/*.parquet"
        given = (_text(name), _text(place), _text(glob), WHO)
        objects = ("from headrace.sources.objects import ParquetObjects",)
        return Declared("ParquetObjects", given, objects, partitioned="{slot}" in glob)
    where = _text(place) if place.startswith("s3://") else f"Path({_text(place)})"
    suffix = "zip" if "member" in sample.about else {"csv": "csv"}.get(sample.format, "ndjson")
    pattern = pattern if "/" not in pattern else ""
    pattern = pattern or f"{name}_{{slot}}*.{suffix}"
    imports = ("from pathlib import Path", "from headrace.sources.files import DropFolder")
    given = (_text(name), where, _text(pattern), WHO)
    return Declared("DropFolder", given, imports)


def _text(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _tuple(names: tuple[str, ...]) -> str:
    quoted = ", ".join(map(_text, names))
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"
