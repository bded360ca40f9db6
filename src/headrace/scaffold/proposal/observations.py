"""Differences between new data and a column's declaration: type, null tokens, limit, codes."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Field, LogicalType
from headrace.contracts.typed_cells import TypedCells, parse
from headrace.scaffold.inspection.column_words import NULL_TEXTS
from headrace.scaffold.inspection.file_inspection import (
    MOST_DECIMALS,
    limit_of,
    sums_fit,
    typed_columns,
)
from headrace.scaffold.proposal.steps import (
    RevisionStep,
    optional,
    with_custom,
    with_level,
    with_type,
)

# A difference in a smaller share of rows is not a change of the source; the gate handles the rows.
FEW = 0.01
# Least share of the values beyond a limit that one value must have to count as a code for null.
_CODE_SHARE = 0.8
_CODE = re.compile(r"-?9{2,}|-1|-9")
_MOST_LEVELS = 40
# By type, custom properties to drop when a column changes to that type.
_OF_NUMBERS = ("scale", "maxAbs", "sentinels", "sourceForm")
_DROPPED: dict[LogicalType, tuple[str, ...]] = {
    "string": (*_OF_NUMBERS, "rounding"),
    "boolean": (*_OF_NUMBERS, "rounding"),
    "timestamp": (*_OF_NUMBERS, "levels"),
    "number": ("levels", "rounding"),
    "integer": ("scale", "rounding"),
}


@dataclass(frozen=True)
class _DeliveredColumn:
    """Column of the data: delivered `text`, parsed `cells`, and the number of `filled` cells."""

    field: Field
    text: pa.Array
    cells: TypedCells
    filled: int

    def few(self, count: int) -> bool:
        return count <= FEW * max(self.filled, 1)


def observe(field: Field, text: pa.Array) -> Iterator[RevisionStep]:
    """Yield a step for each way in which `text` (strings) does not fit `field`."""
    cells = parse(field, text)
    if field.null_tokens:
        text = _without(text, field.null_tokens)
    tokens = _new_tokens(text, cells)
    if tokens:
        quoted = ", ".join(map(repr, tokens))
        all_tokens = [*field.null_tokens, *tokens]
        yield RevisionStep(
            field.name,
            "null_text",
            f"{quoted} appears in a column of type {field.type}: treated as null",
            with_custom(field.name, nullTokens=all_tokens),
        )
        text = _without(text, tokens)
        cells = parse(field, text)
    delivered = _DeliveredColumn(field, text, cells, len(text) - text.null_count)
    if cells.wrong:
        yield from _wrong(delivered)
        return
    yield from _digits(delivered)
    yield from _limit(delivered)
    yield from _nulls(delivered)
    yield from _levels(delivered)


def _without(text: pa.Array, tokens: tuple[str, ...] | list[str]) -> pa.Array:
    null_texts = pa.array(list(tokens), pa.string())
    return pc.if_else(pc.is_in(text, null_texts), pa.scalar(None, pa.string()), text)


def _new_tokens(text: pa.Array, cells: TypedCells) -> list[str]:
    """Return the common null texts (`NULL_TEXTS`) among the cells that do not parse."""
    tokens = {text[row].as_py() for row in cells.wrong}
    return [token for token in NULL_TEXTS if token in tokens]


def _wrong(delivered: _DeliveredColumn) -> Iterator[RevisionStep]:
    """Yield the step for values of another type; the type changes only if they are many."""
    field, rows = delivered.field, delivered.cells.wrong
    first = delivered.text[rows[0]].as_py()
    sentence = (
        f"values that are not of type {field.type}: {len(rows):,} of {delivered.filled:,},"
        f" the first is {first!r}"
    )
    (column,) = typed_columns(pa.table({"x": delivered.text}))
    if delivered.few(len(rows)) or column.type == field.type:
        yield RevisionStep(field.name, "rows", f"{sentence}; these rows are faulty, the type stays")
        return
    custom: dict[str, object] = dict.fromkeys(_DROPPED[column.type])
    if column.scale is not None and column.max_abs is not None and field.form == "text":
        limit = max(column.max_abs, int(_limit_in_unit(field) or 0))
        custom |= {"scale": column.scale, "maxAbs": limit}
    yield RevisionStep(
        field.name,
        "retyped",
        f"{sentence}; the type becomes {column.type}",
        with_type(field, column.type, custom),
        RevisionStep(field.name, "rows", f"{sentence}; columns derived from it need this type"),
    )


def _digits(delivered: _DeliveredColumn) -> Iterator[RevisionStep]:
    """Yield the step for values with more decimals than the scale: raise it if they are many."""
    field = delivered.field
    if field.scale is None or field.form != "text":
        return
    digits = pc.replace_substring_regex(
        delivered.text.drop_null(), r"^[^.eE]*\.?([0-9]*?)0*$", r"\1"
    )
    lengths = pc.utf8_length(digits)
    finer = pc.sum(pc.greater(lengths, field.scale)).as_py() or 0
    if not finer:
        return
    scale = min(pc.max(lengths).as_py(), MOST_DECIMALS)
    sentence = f"values with more than {field.scale} decimal digits: {finer:,}"
    limit = _limit_in_unit(field) or Decimal(1)
    if delivered.few(finer) or scale <= field.scale or not sums_fit(limit, scale):
        yield RevisionStep(field.name, "rows", f"{sentence}; they are rounded")
        return
    edit = with_custom(field.name, scale=scale)
    yield RevisionStep(field.name, "finer", f"{sentence}; the scale becomes {scale}", edit)


def _limit(delivered: _DeliveredColumn) -> Iterator[RevisionStep]:
    """Yield the steps for values beyond `maxAbs`: a code for null, or a greater limit."""
    field = delivered.field
    rows = [row for row, rule, _ in delivered.cells.problems if rule == "max_abs"]
    if not rows or field.max_abs is None or field.type not in {"integer", "number"}:
        return
    values = delivered.cells.values.take(pa.array(rows))
    if values.null_count:  # these do not even fit int64
        yield RevisionStep(
            field.name, "rows", f"values that do not fit int64: {values.null_count:,}; quarantined"
        )
    beyond = values.drop_null().to_pylist()
    if not beyond:
        return
    code = _code_for_null(field, beyond)
    if code is not None:
        yield _sentinel(field, code, beyond.count(code))
        beyond = [value for value in beyond if value != code]
    if beyond:
        yield _beyond(delivered, beyond)


def _code_for_null(field: Field, beyond: list[float]) -> float | None:
    """Return the most frequent value beyond the limit, if it is frequent and looks like a code."""
    code, count = Counter(beyond).most_common(1)[0]
    looks = _CODE.fullmatch(str(_in_unit(field, code)))
    return code if looks and count >= max(2, _CODE_SHARE * len(beyond)) else None


def _sentinel(field: Field, code: float, count: int) -> RevisionStep:
    in_unit = _in_unit(field, code)
    codes = [_plain(_in_unit(field, float(sentinel))) for sentinel in field.sentinels]
    return RevisionStep(
        field.name,
        "sentinel",
        f"{in_unit} appears {count:,} times and is beyond the limit: treated as null",
        with_custom(field.name, sentinels=[*codes, _plain(in_unit)]),
    )


def _beyond(delivered: _DeliveredColumn, beyond: list[float]) -> RevisionStep:
    """Return the step for values beyond the limit: raise it if they are many and sums still fit."""
    field = delivered.field
    largest = _in_unit(field, max(map(abs, beyond)))
    sentence = f"values beyond {_limit_in_unit(field)}: {len(beyond):,}, up to {largest}"
    limit = limit_of(largest)
    if delivered.few(len(beyond)) or (field.scale is not None and not sums_fit(limit, field.scale)):
        return RevisionStep(field.name, "rows", f"{sentence}; their rows are quarantined")
    edit = with_custom(field.name, maxAbs=limit)
    return RevisionStep(field.name, "raised", f"{sentence}; the limit becomes {limit}", edit)


def _nulls(delivered: _DeliveredColumn) -> Iterator[RevisionStep]:
    field, count = delivered.field, delivered.cells.values.null_count
    if not count or not (field.required or field.primary_key_position is not None):
        return
    sentence = f"rows without {field.name}: {count:,} of {len(delivered.text):,}"
    if field.primary_key_position is not None or count <= FEW * len(delivered.text):
        yield RevisionStep(
            field.name, "rows", f"{sentence}; it is required, so they are quarantined"
        )
        return
    yield RevisionStep(
        field.name, "nullable", f"{sentence}; the column becomes nullable", optional(field.name)
    )


def _levels(delivered: _DeliveredColumn) -> Iterator[RevisionStep]:
    """Yield the step for codes missing from the column's `levels`."""
    field = delivered.field
    if not field.levels:
        return
    codes = sorted(pc.unique(delivered.cells.values.cast(pa.string())).drop_null().to_pylist())
    new = [code for code in codes if code not in field.levels]
    if not new:
        return
    examples = ", ".join(map(repr, new[:10]))
    if len(new) > _MOST_LEVELS:
        yield RevisionStep(
            field.name, "rows", f"{len(new):,} values are not listed codes, such as {examples}"
        )
        return
    recoded = "" if len(new) < len(codes) else "; no listed code appears: was the column recoded?"
    sentence = f"codes that are not listed: {examples}{recoded}"
    yield RevisionStep(field.name, "level", sentence, with_level(field, new))


def _in_unit(field: Field, stored: float) -> Decimal:
    value = Decimal(str(stored)).scaleb(-(field.scale or 0)).normalize()
    return value.quantize(1) if value == value.to_integral_value() else value


def _limit_in_unit(field: Field) -> Decimal | None:
    return None if field.max_abs is None else _in_unit(field, field.max_abs)


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
