"""Loader of a contract's derivations.

A derivation may only use columns that are declared before its own column.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from headrace.contracts.expressions import Expression, inspect
from headrace.contracts.keys import (
    AMBIGUOUS,
    LOCAL_TIME,
    MISSING,
    NEXT_CLOCK,
    WALL_CLOCK,
    ZONE_LOOKUP,
)
from headrace.contracts.model import (
    Derivation,
    Field,
    LocalTime,
    LogicalType,
    NextClock,
    Sql,
    WallClock,
    ZoneRule,
)
from headrace.contracts.reference_files import read_reference
from headrace.core.declarations.strict_yaml import Node, is_mark
from headrace.core.errors import DeclarationError
from headrace.core.time_zones import zone_table


def read_derivation(
    node: Node, entries: Mapping[str, Node], custom: Mapping[str, Node], before: Mapping[str, Field]
) -> Derivation | None:
    if "transformLogic" in entries and "derivation" in custom:
        raise node.error(
            "the column has both transformLogic and derivation", fix="keep one of them"
        )
    kind = str(entries["logicalType"].value)
    if "transformLogic" in entries:
        name = entries["name"].text()
        return sql_rule(entries["transformLogic"], name, kind, types_of(before))
    if "derivation" not in custom:
        return None
    rule = custom["derivation"]
    op = Node(rule.file, f"{rule.path}.op", rule.value.get("op") if _is_map(rule) else None)
    name = op.choose(tuple(_OPERATIONS))
    makes, read = _OPERATIONS[name]
    if kind != makes:
        raise rule.error(
            f"{name} makes a {makes}, the column is a {kind}", fix="correct logicalType"
        )
    derivation: Derivation = read(rule, before)
    return derivation


def _is_map(node: Node) -> bool:
    return isinstance(node.value, dict)


def _local_time(node: Node, before: Mapping[str, Field]) -> LocalTime:
    part = node.entries(LOCAL_TIME)
    year, month, day = (
        _column_of(part[key], before, "integer") for key in ("year", "month", "day")
    )
    return LocalTime(
        year,
        month,
        day,
        clock=_clock(part["clock"], before),
        zone=_zone_rule(part["zone"], before),
        ambiguous=part["ambiguous"].choose(AMBIGUOUS),
        missing=part["missing"].choose(MISSING),
        days=part["days"].integer() if "days" in part else 0,
    )


def _next_clock(node: Node, before: Mapping[str, Field]) -> NextClock:
    part = node.entries(NEXT_CLOCK)
    return NextClock(
        after=_column_of(part["after"], before, "timestamp"),
        clock=_column_of(part["clock"], before, "integer"),
        zone=_zone_rule(part["zone"], before),
    )


def _wall_clock(node: Node, before: Mapping[str, Field]) -> WallClock:
    part = node.entries(WALL_CLOCK)
    return WallClock(_column_of(part["of"], before, "timestamp"), _zone_rule(part["zone"], before))


_OPERATIONS: dict[str, tuple[LogicalType, Any]] = {
    "local_time": ("timestamp", _local_time),
    "next_clock": ("timestamp", _next_clock),
    "wall_clock": ("integer", _wall_clock),
}


def _clock(node: Node, before: Mapping[str, Field]) -> str | int:
    if isinstance(node.value, str):
        return _column_of(node, before, "integer")
    constant = node.integer(minimum=0)
    if constant > 2400 or constant % 100 > 59:
        raise node.error(f"{constant} is not an HHMM clock", fix="write 0 to 2359, or 2400")
    return constant


def _zone_rule(node: Node, before: Mapping[str, Field]) -> ZoneRule:
    if isinstance(node.value, str):
        return ZoneRule(name=known_zone(node, node.value))
    part = node.entries(ZONE_LOOKUP)
    path = node.file.parent / part["reference"].text()
    reference = read_reference(path, part["key"].text(), part["value"].text())
    for zone in sorted(set(reference.values.values())):
        known_zone(part["reference"], zone)
    return ZoneRule(by=_column_of(part["by"], before, "string"), reference=reference)


def _column_of(node: Node, before: Mapping[str, Field], kind: LogicalType) -> str:
    return column_before(node, node.text(), before, (kind,))


def column_before(
    node: Node, name: str, before: Mapping[str, Field], kinds: tuple[LogicalType, ...]
) -> str:
    if name not in before:
        raise node.error(
            f"no column {name!r} is declared before this one", fix="name an earlier one"
        )
    if before[name].type not in kinds:
        raise node.error(
            f"{name!r} is a {before[name].type}, expected {' or '.join(kinds)}", fix="name another"
        )
    return name


def types_of(fields: Mapping[str, Field]) -> dict[str, pa.DataType]:
    return {name: field.arrow_type for name, field in fields.items()}


def sql_rule(node: Node, name: str, kind: str, columns: Mapping[str, pa.DataType]) -> Sql:
    """Read the SQL in `node`; raise if it uses more than one row or does not return `kind`."""
    expression = node.text()
    if is_mark(expression):
        raise node.error("this is not decided yet", fix=f"write SQL that returns a {kind}")
    try:
        return Sql(expression, inspect(Expression(name, expression, kind), columns))
    except ValueError as error:
        fix = f"correct {expression!r}; a column whose name is an SQL keyword needs double quotes"
        raise node.error(str(error), fix) from error


def known_zone(node: Node, name: str) -> str:
    try:
        return zone_table(name).name
    except DeclarationError as error:
        raise node.error(error.what, error.fix) from error
