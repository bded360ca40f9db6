"""Python declaration of an inspected source, for a new pipeline."""

import json
from dataclasses import dataclass

from headrace.core.errors import DeclarationError
from headrace.scaffold.inspection.column_candidates import InspectedSample
from headrace.sources.relational.connections import split_address

PRODUCER = 'producer="not_stated"'
_WIDTH = 88


@dataclass(frozen=True)
class DeclaredSource:
    """Declaration of a source.

    Attributes:
        kind, arguments: class name and arguments of the expression that creates the source.
        imports: the imports that the expression needs, as `from a import b` lines.
        partitioned: True if the source has daily partitions.
        stream: for a topic, the expression of the stream that feeds the table.
    """

    kind: str
    arguments: tuple[str, ...]
    imports: tuple[str, ...]
    partitioned: bool = True
    stream: str = ""

    @property
    def call(self) -> str:
        """Expression that creates the source, on one line."""
        return f"{self.kind}({', '.join(self.arguments)})"

    def lines(self, indent: str) -> str:
        """Return the expression on one line or, if it is too long, with one argument per line."""
        if len(self.call) < _WIDTH:
            return self.call
        inner = "".join(f"{indent}    {argument},\n" for argument in self.arguments)
        return f"{self.kind}(\n{inner}{indent})"


def declared(
    inspected: InspectedSample, name: str, key: tuple[str, ...] = (), *, deletions: bool = False
) -> DeclaredSource:
    """Return the source declaration for table `name`; the default `key` is the likeliest candidate.

    Raises:
        DeclarationError: if no source class reads this format.
    """
    sample = inspected.sample
    key = key or (inspected.keys[0] if inspected.keys else ())
    if sample.kind == "sql":
        return _table(inspected, name, key, deletions=deletions)
    if sample.kind == "http":
        return _api(inspected, name)
    if sample.kind == "topic":
        place = str(sample.details["place"])
        return DeclaredSource(
            "NoFiles",
            (_text(name),),
            ("from headrace.sources.base import NoFiles",),
            stream=f"Stream({_text(name)}, {place}, {PRODUCER})",
        )
    return _files(inspected, name)


def declaration(
    inspected: InspectedSample, name: str, key: tuple[str, ...] = (), *, deletions: bool = False
) -> str:
    """Return the declaration on one line; "" if no source class reads the format."""
    try:
        source = declared(inspected, name, key, deletions=deletions)
    except DeclarationError:
        return ""
    return source.stream or source.call


def _table(
    inspected: InspectedSample, name: str, key: tuple[str, ...], *, deletions: bool
) -> DeclaredSource:
    url, schema, table = split_address(inspected.sample.address)
    arguments = [_text(name), _text(url), _text(table), _tuple(key), PRODUCER]
    arguments += [f"schema={_text(schema)}"] if schema else []
    if not reads_on(inspected, deletions=deletions):
        snapshot = ("from headrace.sources.sql import TableSnapshot",)
        return DeclaredSource("TableSnapshot", tuple(arguments), snapshot, partitioned=False)
    arguments += [f"cursor={_text(inspected.cursors[0])}"] if inspected.cursors else []
    arguments += ["deletions=True"] if deletions else []
    changes = ("from headrace.sources.sql_changes import TableChanges",)
    return DeclaredSource("TableChanges", tuple(arguments), changes, partitioned=False)


def reads_on(inspected: InspectedSample, *, deletions: bool) -> bool:
    """Return True if a table should be read incrementally, False if as full snapshots.

    A table is read incrementally if it has a cursor, if deletions matter, or if it has no time
    column.
    """
    return bool(inspected.cursors) or deletions or not inspected.times


def _api(inspected: InspectedSample, name: str) -> DeclaredSource:
    if inspected.sample.format != "pages":
        raise DeclarationError(
            f"no source reads {inspected.sample.format} by HTTP",
            where=inspected.sample.address,
            fix="download the data into a drop folder; Headrace reads only APIs that answer"
            ' {"records": [...], "next": cursor or null}',
        )
    bare = inspected.sample.address.partition("?")[0]
    scheme, _, rest = bare.partition("://")
    host, _, path = rest.partition("/")
    arguments = (_text(name), _text(f"{scheme}://{host}"), _text(f"/{path}"))
    slot = '{"date": "{slot}"}'
    return DeclaredSource(
        "CursorApi", (*arguments, slot, PRODUCER), ("from headrace.sources.http import CursorApi",)
    )


def _files(inspected: InspectedSample, name: str) -> DeclaredSource:
    sample = inspected.sample
    place, pattern = str(sample.details["folder"]), str(sample.details.get("pattern") or "")
    if sample.format == "parquet":
        glob = pattern or "**/*.parquet"
        arguments = (_text(name), _text(place), _text(glob), PRODUCER)
        objects = ("from headrace.sources.objects import ParquetObjects",)
        return DeclaredSource("ParquetObjects", arguments, objects, partitioned="{slot}" in glob)
    where = _text(place) if place.startswith("s3://") else f"Path({_text(place)})"
    suffix = "zip" if "member" in sample.details else {"csv": "csv"}.get(sample.format, "ndjson")
    pattern = pattern if "/" not in pattern else ""
    pattern = pattern or f"{name}_{{slot}}*.{suffix}"
    imports = ("from pathlib import Path", "from headrace.sources.files import DropFolder")
    arguments = (_text(name), where, _text(pattern), PRODUCER)
    return DeclaredSource("DropFolder", arguments, imports)


def _text(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _tuple(names: tuple[str, ...]) -> str:
    quoted = ", ".join(map(_text, names))
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"
