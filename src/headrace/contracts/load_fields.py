"""Loader of the columns of a contract."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from headrace.contracts.keys import (
    COLUMN,
    COLUMN_CUSTOM,
    DELIVERED_COLUMN,
    FORMS,
    ROUNDINGS,
    TIMESTAMP_OPTIONS,
    TYPES,
    UTC,
)
from headrace.contracts.load_derivations import column_before, known_zone, read_derivation
from headrace.contracts.model import (
    DELETED,
    FIRST_FIELD_ID,
    MOST_SCALE,
    RESERVED,
    Field,
    Form,
    LogicalType,
)
from headrace.core.declarations.strict_yaml import Node
from headrace.core.errors import DeclarationError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Defaults:
    """Settings of the table that apply to columns without their own."""

    privacy: str
    form: Form


def read_fields(nodes: list[Node], defaults: Defaults) -> tuple[Field, ...]:
    """Read all columns in order; a column may refer to earlier ones."""
    fields: list[Field] = []
    for node in nodes:
        field = _read_field(node, defaults, {field.name: field for field in fields})
        if field.derivation is None and fields and fields[-1].derivation is not None:
            raise node.error("a delivered column after a derived one", fix="move it further up")
        fields.append(field)
    _check_unique(nodes, fields)
    _check_primary_key(nodes, fields)
    _check_explained(nodes, fields)
    return tuple(fields)


def _read_field(node: Node, defaults: Defaults, before: Mapping[str, Field]) -> Field:
    entries = node.entries(COLUMN)
    name = entries["name"].text()
    _check_name(entries["name"], name)
    kind = entries["logicalType"].choose(TYPES)
    custom: dict[str, Node] = {}
    if "customProperties" in entries:
        custom = entries["customProperties"].custom(COLUMN_CUSTOM)
    derivation = read_derivation(node, entries, custom, before)
    if derivation is not None:
        _refuse_source_properties(custom)
    if "logicalTypeOptions" in entries:
        _check_options(entries["logicalTypeOptions"], kind)
    field = Field(
        name=name,
        type=kind,
        id=_field_id(node, custom, derived=derivation is not None),
        description=entries["description"].text(),
        privacy=entries["classification"].text()
        if "classification" in entries
        else defaults.privacy,
        unit=custom["unit"].text() if "unit" in custom else None,
        zone=_stated_zone(custom, before),
        required="required" in entries and entries["required"].boolean(),
        primary_key_position=_key_position(node, entries),
        form=custom["sourceForm"].choose(FORMS) if "sourceForm" in custom else defaults.form,
        null_tokens=custom["nullTokens"].texts() if "nullTokens" in custom else (),
        aliases=custom["aliases"].texts() if "aliases" in custom else (),
        levels=_levels(custom["levels"], kind) if "levels" in custom else {},
        explained_by=_explained_by(custom["explainedBy"]) if "explainedBy" in custom else (),
        may_be_absent="mayBeAbsent" in custom and custom["mayBeAbsent"].boolean(),
        round_up="rounding" in custom and custom["rounding"].choose(ROUNDINGS) == "up",
        derivation=derivation,
    )
    return _with_numbers(field, custom)


def _explained_by(node: Node) -> tuple[tuple[str, ...], ...]:
    """Read one list of columns, or a list of such lists."""
    nested = all(isinstance(item.value, list) for item in node.items())
    return tuple(item.texts() for item in node.items()) if nested else (node.texts(),)


def _levels(node: Node, kind: LogicalType) -> dict[str, str]:
    """Read the meaning of each code; only the suite restricts which codes are allowed."""
    if kind not in {"string", "integer", "boolean"}:
        raise node.error(f"a {kind} column cannot have levels", fix="drop the levels")
    entries = node.mapping((), node.value if isinstance(node.value, dict) else ())
    meanings = {code: meaning.text() for code, meaning in entries.items()}
    if len(set(meanings.values())) < len(meanings):
        raise node.error("two codes mean the same", fix="give each code its own meaning")
    return meanings


def _check_name(node: Node, name: str) -> None:
    if not _NAME.fullmatch(name) or name in {reserved for reserved, _, _ in (*RESERVED, DELETED)}:
        raise node.error(
            f"{name!r} cannot be a column name",
            fix="use letters, digits and _, a letter first; event_time and known_at are reserved",
        )


def _field_id(node: Node, custom: Mapping[str, Node], *, derived: bool) -> int | None:
    if "hidden" in custom and custom["hidden"].boolean():
        if not derived or "fieldId" in custom:
            raise custom["hidden"].error(
                "only a derived column without a fieldId can be hidden", fix="drop one of the two"
            )
        return None
    if "fieldId" not in custom:
        raise node.error(
            "the column has no fieldId",
            fix="add to customProperties: {property: fieldId, value: <a number never used before>}",
        )
    return custom["fieldId"].integer(minimum=FIRST_FIELD_ID)


def _key_position(node: Node, entries: Mapping[str, Node]) -> int | None:
    if "primaryKey" not in entries or not entries["primaryKey"].boolean():
        return None
    if "primaryKeyPosition" not in entries:
        raise node.error(
            "primaryKey without primaryKeyPosition", fix="add primaryKeyPosition: 1, 2, …"
        )
    return entries["primaryKeyPosition"].integer(minimum=1)


def _check_options(node: Node, kind: LogicalType) -> None:
    allowed = TIMESTAMP_OPTIONS.names if kind == "timestamp" else ()
    options = node.mapping((), allowed)
    if "defaultTimezone" in options:
        options["defaultTimezone"].choose(UTC)


def _refuse_source_properties(custom: Mapping[str, Node]) -> None:
    for name in DELIVERED_COLUMN.names:
        if name in custom:
            raise custom[name].error(f"a derived column has no {name}", fix="drop it")


def _stated_zone(custom: Mapping[str, Node], before: Mapping[str, Field]) -> str | None:
    """Read the time zone of a column: an IANA name, or `of <column>` if it differs by row."""
    if "zone" not in custom:
        return None
    text = custom["zone"].text()
    if text.startswith("of "):
        column_before(custom["zone"], text.removeprefix("of "), before, ("string",))
    else:
        known_zone(custom["zone"], text)
    return text


def _with_numbers(field: Field, custom: Mapping[str, Node]) -> Field:
    """Return the field with its scale, and with `max_abs` and sentinels in stored units."""
    scale = custom["scale"].integer(minimum=0) if "scale" in custom else None
    if scale is not None:
        _check_scale(field, scale, custom)
    factor = 10 ** (scale or 0)
    limit: float | None = None
    if "maxAbs" in custom:
        if field.type not in ("integer", "number"):
            raise custom["maxAbs"].error(f"a {field.type} has no maxAbs", fix="drop it")
        limit = _stored(custom["maxAbs"].decimal(), factor)
        bound = 2**53 if field.form == "float" and scale is not None else 2**63
        if not 0 < limit < bound:
            raise custom["maxAbs"].error(
                f"maxAbs times 10^{scale or 0} is {limit}, expected 1 to {bound - 1}",
                fix=_fitting(custom["maxAbs"].decimal(), scale, bound),
            )
    scaled = replace(field, scale=scale, max_abs=limit)
    if "sentinels" not in custom:
        return scaled
    return replace(scaled, sentinels=_sentinels(custom["sentinels"], scaled, factor))


def _check_scale(field: Field, scale: int, custom: Mapping[str, Node]) -> None:
    node = custom["scale"]
    if field.type != "number":
        raise node.error(f"a scale needs a number, and this is a {field.type}", fix="drop it")
    if "maxAbs" not in custom:
        raise node.error(
            "a scale needs a number with a maxAbs",
            fix="add {property: maxAbs, value: <the greatest absolute value, in the unit>}",
        )
    if scale > MOST_SCALE:
        bound = 2**53 if field.form == "float" else 2**63
        fix = _fitting(custom["maxAbs"].decimal(), scale, bound)
        raise node.error(f"a scale is at most {MOST_SCALE}", fix=fix)


def _fitting(limit: Decimal, scale: int | None, bound: int) -> str:
    """Return the fix for a maxAbs that does not fit: a smaller scale, or else a smaller maxAbs."""
    fitting = range(min((scale or 0) - 1, MOST_SCALE), -1, -1)
    for smaller in fitting:
        if 1 <= _stored(limit, 10**smaller) < bound:
            return f"declare scale {smaller}, the greatest that fits this maxAbs"
    greatest = (bound - 1) // 10 ** min(scale or 0, MOST_SCALE)
    return f"declare a maxAbs above 0, and of at most {greatest}"


def _sentinels(node: Node, field: Field, factor: int) -> tuple[int | float | str, ...]:
    if field.type == "string":
        return node.texts()
    if field.type not in ("integer", "number"):
        raise node.error(f"a {field.type} has no sentinels", fix="drop them")
    return tuple(_stored(item.decimal(), factor) for item in node.items())


def _stored(value: Decimal, factor: int) -> float:
    """Return `value` in stored units: an exact int if the result is whole, else a float."""
    exact = value * factor
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _check_unique(nodes: list[Node], fields: list[Field]) -> None:
    names: set[str] = set()
    ids: dict[int, str] = {}
    for node, field in zip(nodes, fields, strict=True):
        names_ = (field.name, *field.aliases)
        # SQL ignores case, so names must differ in more than case. Only a column's own name and
        # aliases may differ in case alone: a producer may write the column in both ways.
        duplicates = [name for name in names_ if name.casefold() in names or names_.count(name) > 1]
        if duplicates:
            raise node.error(f"the name {duplicates[0]!r} is taken", fix="rename one of the two")
        names |= {name.casefold() for name in names_}
        if field.id is not None and field.id in ids:
            raise node.error(
                f"fieldId {field.id} belongs to {ids[field.id]!r}", fix=f"use {max(ids) + 1}"
            )
        if field.id is not None:
            ids[field.id] = field.name


def _check_explained(nodes: list[Node], fields: list[Field]) -> None:
    delivered = {field.name for field in fields if field.derivation is None}
    for node, field in zip(nodes, fields, strict=True):
        for key in field.explained_by:
            strange = [name for name in key if name not in delivered or name == field.name]
            if strange or not key:
                raise node.error(
                    f"{field.name!r} cannot be explained by {strange or 'nothing'}",
                    fix="list other delivered columns under explainedBy",
                )


def _check_primary_key(nodes: list[Node], fields: list[Field]) -> None:
    positions = sorted(f.primary_key_position for f in fields if f.primary_key_position is not None)
    if positions != list(range(1, len(positions) + 1)):
        raise DeclarationError(
            f"the values of primaryKeyPosition are {positions}",
            where=f"{nodes[0].file}: schema[0].properties" if nodes else "",
            fix="number the key columns 1, 2, 3, …",
        )
    for node, field in zip(nodes, fields, strict=True):
        inexact = field.type == "number" and field.scale is None
        if field.primary_key_position is not None and (inexact or field.derivation is not None):
            raise node.error(
                "a key column must be delivered, and a number in a key needs a scale",
                fix="choose another key, or give it a scale",
            )
