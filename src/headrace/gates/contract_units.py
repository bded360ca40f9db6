"""Exact conversion of numbers between the contract's unit and the stored unit.

A column of scale 2 stores 23.62 as the integer 2362. Checks compare stored integers, but people
read and write numbers in the contract's unit.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from numbers import Integral
from typing import Any

from headrace.contracts import Contract
from headrace.core.errors import DeclarationError

CONTRACT, STORED = "contract", "stored"  # possible units of the limits in a suite
Kwargs = Mapping[str, Any]
Scalar = Any  # an int, a float, text, a bool or None
Convert = Callable[[Scalar, int], Scalar]
_EXACT = Context(prec=100)  # enough digits for every number of a suite

_LIMITS = frozenset(
    f"expect_column_{what}_to_be_between"
    for what in ("values", "mean", "median", "stdev", "sum", "min", "max")
)
_SETS = frozenset(
    f"expect_column_{what}"
    for what in (
        "values_to_be_in_set",
        "values_to_not_be_in_set",
        "distinct_values_to_be_in_set",
        "distinct_values_to_contain_set",
        "distinct_values_to_equal_set",
        "most_common_value_to_be_in_set",
    )
)
# Expectations that compare columns with each other, so the columns must have the same scale.
_COMPARED = frozenset(
    {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
)


def scales_of(contract: Contract) -> dict[str, int]:
    """Return the number of decimal digits of each column that is stored as scaled integers."""
    return {field.name: field.scale for field in contract.fields if field.scale}


def to_stored(value: Scalar, scale: int) -> Scalar:
    """Convert a number in the contract's unit to the form in which the table stores it.

    A number that the table can hold becomes an int, any other a float. Text is converted exactly;
    if it has more decimals than the scale it becomes a float, such as 500.0 for "5.000" at scale 2.

    Raises:
        DeclarationError: the result is not an integer and no float equals it.
    """
    number = _decimal(value)
    if number is None:
        return value
    exact = number.scaleb(scale, _EXACT)
    finer = isinstance(value, str) and int(number.as_tuple().exponent) < -scale
    if exact == exact.to_integral_value() and not finer:
        return int(exact)
    nearest = float(exact)
    if Decimal(repr(nearest)) != exact:
        raise DeclarationError(
            f"{value!r} has more digits than can be compared exactly",
            fix="write at most 15 significant digits",
        )
    return nearest


def to_contract(value: Scalar, scale: int) -> Scalar:
    """Convert a stored number to the contract's unit, so that `to_stored` returns it unchanged.

    The result is a number, or text if no number converts back exactly.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    exact = Decimal(repr(value)).scaleb(-scale, _EXACT)
    is_whole = exact == exact.to_integral_value() and isinstance(value, int)
    written: Scalar = int(exact) if is_whole else float(exact)
    stored = to_stored(written, scale) if Decimal(repr(written)) == exact else None
    if stored == value and type(stored) is type(value):
        return written
    digits = max(-int(exact.as_tuple().exponent), 0 if isinstance(value, int) else scale + 1)
    return f"{exact:.{digits}f}"


def in_units(value: Scalar, scale: int) -> Scalar:
    """Convert a stored number, or a list of them, to JSON values in the contract's unit."""
    if not scale or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [in_units(number, scale) for number in value]
    if isinstance(value, Integral):
        exact = Decimal(int(value)).scaleb(-scale, _EXACT)
        return int(exact) if exact == exact.to_integral_value() else float(exact)
    return value / 10**scale if isinstance(value, float) else value


def format_stored(value: Scalar, scale: int = 0) -> str:
    """Format a stored number for people, in the contract's unit.

    Numbers that the table can hold are shown with all digits, others with six significant digits;
    trailing zeros are omitted.
    """
    if scale and not isinstance(value, bool) and isinstance(value, Integral):
        text = f"{Decimal(int(value)).scaleb(-scale, _EXACT):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if scale and isinstance(value, float):
        value = value / 10**scale
    if isinstance(value, float) and abs(value) < 1e6:
        return f"{value:.6g}"
    return str(value)


def converted(kind: str, kwargs: Kwargs, scales: Mapping[str, int], convert: Convert) -> Kwargs:
    """Convert the numbers in an expectation's kwargs that refer to scaled columns.

    Args:
        kind: the expectation's type.
        kwargs: the kwargs as written; values that are not numbers stay as they are.
        scales: the number of decimal digits of each scaled column.
        convert: `to_stored` or `to_contract`.

    Raises:
        DeclarationError: the expectation compares columns of different scales, or a number cannot
            be converted exactly.
    """
    converted_ = dict(kwargs)
    condition = kwargs.get("row_condition")
    if isinstance(condition, str):
        converted_["row_condition"] = condition_in(condition, scales, convert)
    scale = _scale(kind, kwargs, scales)
    if scale:
        for key, values in kwargs.items():
            if _has_numbers(kind, key):
                converted_[key] = _convert_nested(values, lambda value: convert(value, scale))
    if "value_pairs_set" in kwargs:
        both = [scales.get(str(kwargs.get(key)), 0) for key in ("column_A", "column_B")]
        converted_["value_pairs_set"] = _pairs(kwargs["value_pairs_set"], both, convert)
    return converted_


def condition_in(text: str, scales: Mapping[str, int], convert: Convert) -> str:
    """Convert the numbers that a `row_condition` compares with scaled columns.

    The decimal point is moved in the text itself, so that converting to the other unit and back
    gives the same text.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return text  # the compiler reports the error
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    raw = text.strip().encode()
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    edits = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
            scale = scales.get(node.left.id, 0)
            places = _numbers(node.comparators[0]) if scale else []
            edits += [(place, scale) for place in places]
    for place, scale in sorted(edits, key=lambda edit: (-edit[0].lineno, -edit[0].col_offset)):
        start = starts[place.lineno - 1] + place.col_offset
        end = starts[(place.end_lineno or place.lineno) - 1] + (place.end_col_offset or 0)
        shifted = _shifted(raw[start:end].decode(), scale, convert)
        raw = raw[:start] + shifted.encode() + raw[end:]
    return before + raw.decode() + after


def _shifted(written: str, scale: int, convert: Convert) -> str:
    number = _decimal(written.replace(" ", ""))
    if number is None:
        raise DeclarationError(f"{written} is not a decimal number", fix="write its digits")
    if convert is to_stored:
        to_stored(f"{number:f}", scale)  # raises if the number cannot be stored exactly
        return f"{number.scaleb(scale, _EXACT):f}"
    shifted = f"{number.scaleb(-scale, _EXACT):f}"
    return shifted if "." in written or "." not in shifted else shifted.rstrip("0").rstrip(".")


def _numbers(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.List | ast.Tuple):
        return [place for elt in node.elts for place in _numbers(elt)]
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    return [node] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _decimal(value: Scalar) -> Decimal | None:
    """Return the number exactly as written; None if the value is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(value if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _scale(kind: str, kwargs: Kwargs, scales: Mapping[str, int]) -> int:
    """Return the scale of the column or columns that an expectation's numbers refer to."""
    if kind not in _COMPARED:
        return scales.get(str(kwargs.get("column")), 0)
    listed = kwargs.get("column_list")
    names = (
        listed if isinstance(listed, Sequence) else [kwargs.get("column_A"), kwargs.get("column_B")]
    )
    scale_by_column = {str(name): scales.get(str(name), 0) for name in names}
    if len(set(scale_by_column.values())) > 1:
        listing = ", ".join(f"{name} {scale}" for name, scale in scale_by_column.items())
        raise DeclarationError(
            f"it compares columns of different scales: {listing}",
            fix="give them one scale in the contract, or write an invariant there",
        )
    return max(scale_by_column.values(), default=0)


def has_unit(kind: str) -> bool:
    """Return True if an expectation's observed value is in the unit of its column."""
    quantiles = "expect_column_quantile_values_to_be_between"
    return kind in _LIMITS or kind == quantiles or "most_common_value" in kind


def _has_numbers(kind: str, key: str) -> bool:
    return (
        (kind in _LIMITS and key in {"min_value", "max_value"})
        or (kind in _SETS and key == "value_set")
        or (kind == "expect_multicolumn_sum_to_equal" and key == "sum_total")
        or key in {"quantile_ranges", "partition_object"}
    )


def _convert_nested(value: Any, convert: Callable[[Scalar], Scalar]) -> Any:  # noqa: ANN401  (parsed YAML)
    """Convert numbers in nested lists and mappings.

    In a mapping, only the keys that hold values of the column are converted.
    """
    if isinstance(value, Mapping):
        value_keys = {"value_ranges", "values", "bins"}
        return {
            key: _convert_nested(inner, convert) if key in value_keys else inner
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_convert_nested(inner, convert) for inner in value]
    return convert(value)


def _pairs(pairs: Any, scales: Sequence[int], convert: Convert) -> Any:  # noqa: ANN401  (parsed YAML)
    if not isinstance(pairs, list | tuple) or not any(scales):
        return pairs
    return [
        [
            convert(value, scale) if scale else value
            for value, scale in zip(pair, scales, strict=False)
        ]
        if isinstance(pair, list | tuple) and len(pair) == 2
        else pair
        for pair in pairs
    ]
