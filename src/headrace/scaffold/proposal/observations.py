"""What data say against a column of a contract: another type, null coding, limit, codes."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Field, LogicalType
from headrace.contracts.typed_cells import TypedCells, parse
from headrace.scaffold.inspection.column_words import NOTHING
from headrace.scaffold.inspection.file_inspection import (
    MOST_DECIMALS,
    limit_of,
    sums_fit,
    typed_columns,
)
from headrace.scaffold.proposal.steps import (
    Step,
    optional,
    with_custom,
    with_level,
    with_type,
)

# So few rows are faults for the gate, not another way of the source.
FEW = 0.01
# Of the values beyond a limit, so many must be the same to be a code for null.
_MOST_OF = 0.8
_CODE = re.compile(r"-?9{2,}|-1|-9")
_MOST_LEVELS = 40
# What a column of that type cannot have.
_OF_NUMBERS = ("scale", "maxAbs", "sentinels", "sourceForm")
_DROPPED: dict[LogicalType, tuple[str, ...]] = {
    "string": (*_OF_NUMBERS, "rounding"),
    "boolean": (*_OF_NUMBERS, "rounding"),
    "timestamp": (*_OF_NUMBERS, "levels"),
    "number": ("levels", "rounding"),
    "integer": ("scale", "rounding"),
}


@dataclass(frozen=True)
class _Seen:
    """A column of the data: `text` as delivered, `given` values that are not null."""

    field: Field
    text: pa.Array
    cells: TypedCells
    given: int

    def few(self, count: int) -> bool:
        return count <= FEW * max(self.given, 1)


def observe(field: Field, text: pa.Array) -> Iterator[Step]:
    """What `text` (strings) does not fit in `field`, and what could be changed for it."""
    cells = parse(field, text)
    if field.null_tokens:
        text = _without(text, field.null_tokens)
    tokens = _new_tokens(text, cells)
    if tokens:
        shown = ", ".join(map(repr, tokens))
        all_tokens = [*field.null_tokens, *tokens]
        yield Step(
            field.name,
            "null_text",
            f"{shown} stands where a {field.type} is expected: taken for null",
            with_custom(field.name, nullTokens=all_tokens),
        )
        text = _without(text, tokens)
        cells = parse(field, text)
    seen = _Seen(field, text, cells, len(text) - text.null_count)
    if cells.wrong:
        yield from _wrong(seen)
        return
    yield from _digits(seen)
    yield from _limit(seen)
    yield from _nulls(seen)
    yield from _levels(seen)


def _without(text: pa.Array, tokens: tuple[str, ...] | list[str]) -> pa.Array:
    known = pa.array(list(tokens), pa.string())
    return pc.if_else(pc.is_in(text, known), pa.scalar(None, pa.string()), text)


def _new_tokens(text: pa.Array, cells: TypedCells) -> list[str]:
    """Texts of wrong cells that exporters write for nothing."""
    tokens = {text[row].as_py() for row in cells.wrong}
    return [token for token in NOTHING if token in tokens]


def _wrong(seen: _Seen) -> Iterator[Step]:
    """Values that are not of the type: a few are faults, many are another type."""
    field, rows = seen.field, seen.cells.wrong
    first = seen.text[rows[0]].as_py()
    says = f"{len(rows):,} of {seen.given:,} values are no {field.type}, the first is {first!r}"
    (column,) = typed_columns(pa.table({"x": seen.text}))
    if seen.few(len(rows)) or column.type == field.type:
        yield Step(field.name, "rows", f"{says}: faults of these rows, the type stays")
        return
    custom: dict[str, object] = dict.fromkeys(_DROPPED[column.type])
    if column.scale is not None and column.max_abs is not None and field.form == "text":
        limit = max(column.max_abs, int(_limit_in_unit(field) or 0))
        custom |= {"scale": column.scale, "maxAbs": limit}
    yield Step(
        field.name,
        "retyped",
        f"{says}: a {column.type} from now on",
        with_type(field, column.type, custom),
        Step(field.name, "rows", f"{says}; what is derived from it needs a {field.type}"),
    )


def _digits(seen: _Seen) -> Iterator[Step]:
    """More decimal digits than are kept."""
    field = seen.field
    if field.scale is None or field.form != "text":
        return
    digits = pc.replace_substring_regex(seen.text.drop_null(), r"^[^.eE]*\.?([0-9]*?)0*$", r"\1")
    lengths = pc.utf8_length(digits)
    finer = pc.sum(pc.greater(lengths, field.scale)).as_py() or 0
    if not finer:
        return
    scale = min(pc.max(lengths).as_py(), MOST_DECIMALS)
    says = f"{finer:,} values have more than {field.scale} decimal digits"
    limit = _limit_in_unit(field) or Decimal(1)
    if seen.few(finer) or scale <= field.scale or not sums_fit(limit, scale):
        yield Step(field.name, "rows", f"{says}; they are rounded")
        return
    edit = with_custom(field.name, scale=scale)
    yield Step(field.name, "finer", f"{says}: {scale} are kept from now on", edit)


def _limit(seen: _Seen) -> Iterator[Step]:
    """Values beyond the greatest absolute one: a code for null, or a greater limit."""
    field = seen.field
    rows = [row for row, rule, _ in seen.cells.problems if rule == "max_abs"]
    if not rows or field.max_abs is None or field.type not in {"integer", "number"}:
        return
    values = seen.cells.values.take(pa.array(rows))
    if values.null_count:  # too great to be kept at all
        yield Step(field.name, "rows", f"{values.null_count:,} values fit no column; quarantined")
    beyond = values.drop_null().to_pylist()
    if not beyond:
        return
    code = _code_for_null(field, beyond)
    if code is not None:
        yield _sentinel(field, code, beyond.count(code))
        beyond = [one for one in beyond if one != code]
    if beyond:
        yield _beyond(seen, beyond)


def _code_for_null(field: Field, beyond: list[float]) -> float | None:
    """The value that nearly all of those beyond the limit have, if it looks like a code."""
    code, count = Counter(beyond).most_common(1)[0]
    looks = _CODE.fullmatch(str(_in_unit(field, code)))
    return code if looks and count >= max(2, _MOST_OF * len(beyond)) else None


def _sentinel(field: Field, code: float, count: int) -> Step:
    shown = _in_unit(field, code)
    codes = [_plain(_in_unit(field, float(sentinel))) for sentinel in field.sentinels]
    return Step(
        field.name,
        "sentinel",
        f"{shown} comes {count:,} times and is beyond the limit: taken for null",
        with_custom(field.name, sentinels=[*codes, _plain(shown)]),
    )


def _beyond(seen: _Seen, beyond: list[float]) -> Step:
    """A greater limit, if that is how the source is now and sums still fit."""
    field = seen.field
    largest = _in_unit(field, max(map(abs, beyond)))
    says = f"{len(beyond):,} values are beyond {_limit_in_unit(field)}, up to {largest}"
    limit = limit_of(largest)
    if seen.few(len(beyond)) or (field.scale is not None and not sums_fit(limit, field.scale)):
        return Step(field.name, "rows", f"{says}; their rows are quarantined")
    edit = with_custom(field.name, maxAbs=limit)
    return Step(field.name, "raised", f"{says}: the limit is {limit}", edit)


def _nulls(seen: _Seen) -> Iterator[Step]:
    field, count = seen.field, seen.cells.values.null_count
    if not count or not (field.required or field.primary_key_position is not None):
        return
    says = f"{count:,} of {len(seen.text):,} rows have no {field.name}"
    if field.primary_key_position is not None or count <= FEW * len(seen.text):
        yield Step(field.name, "rows", f"{says}, which must be there; they are quarantined")
        return
    yield Step(field.name, "nullable", f"{says}: it may be null", optional(field.name))


def _levels(seen: _Seen) -> Iterator[Step]:
    """Codes that the contract does not list."""
    field = seen.field
    if not field.levels:
        return
    found = sorted(pc.unique(seen.cells.values.cast(pa.string())).drop_null().to_pylist())
    new = [code for code in found if code not in field.levels]
    if not new:
        return
    shown = ", ".join(map(repr, new[:10]))
    if len(new) > _MOST_LEVELS:
        yield Step(field.name, "rows", f"{len(new):,} values are no known code, as {shown}")
        return
    recoded = "" if len(new) < len(found) else "; none of the known ones came: is it a recoding?"
    says = f"codes that are not listed: {shown}{recoded}"
    yield Step(field.name, "level", says, with_level(field, new))


def _in_unit(field: Field, stored: float) -> Decimal:
    value = Decimal(str(stored)).scaleb(-(field.scale or 0)).normalize()
    return value.quantize(1) if value == value.to_integral_value() else value


def _limit_in_unit(field: Field) -> Decimal | None:
    return None if field.max_abs is None else _in_unit(field, field.max_abs)


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
