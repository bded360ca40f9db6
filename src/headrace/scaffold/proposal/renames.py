"""Detection of a source's renamed columns by name, content and position."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Contract, Field
from headrace.contracts.typed_cells import parse
from headrace.scaffold.answers import plain_name
from headrace.scaffold.inspection.column_words import NULL_TEXTS

# Least likeness for proposing a pair, and least lead over other pairs with one of its columns.
LIKELY, MARGIN = 0.6, 0.08
_FITS = 0.99
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class Rename:
    """Likely rename of `field` to `header`, with `likeness` from 0 to 1 and the reason."""

    field: str
    header: str
    likeness: float
    why: str


def find_renames(
    contract: Contract,
    vanished: Sequence[Field],
    headers: Sequence[str],
    table: pa.Table,
    before: pa.Table | None = None,
) -> tuple[list[Rename], list[Rename]]:
    """Return (likely renames, possible renames for a person to confirm).

    Args:
        contract: the current contract.
        vanished: its delivered columns that are missing from the data.
        headers: columns of the data that it does not declare.
        table: the data, as columns of text.
        before: earlier rows, typed by the contract, if there are any.
    """
    pairs = [
        pair
        for field in vanished
        for header in headers
        if (pair := _pair(contract, field, header, table, before)) is not None
    ]
    pairs.sort(key=lambda pair: -pair.likeness)
    likely: list[Rename] = []
    for pair in pairs:
        rivals = [
            other
            for other in pairs
            if other != pair and (other.field == pair.field) != (other.header == pair.header)
        ]
        clear = all(pair.likeness >= other.likeness + MARGIN for other in rivals)
        if pair.likeness >= LIKELY and clear:
            likely.append(pair)
    used = {name for pair in likely for name in (pair.field, pair.header)}
    maybe = [
        pair
        for pair in pairs
        if pair.likeness >= LIKELY - 0.2 and not {pair.field, pair.header} & used
    ]
    return likely, maybe


def _pair(
    contract: Contract, field: Field, header: str, table: pa.Table, before: pa.Table | None
) -> Rename | None:
    text = table[header].combine_chunks()[:_MOST_ROWS]
    text = pc.if_else(pc.is_in(text, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), text)
    cells = parse(field, text)
    filled = len(text) - text.null_count
    if filled and len(cells.wrong) > (1 - _FITS) * filled:
        return None
    name = name_likeness(field.name, header)
    place = _place(contract, field, header, table.column_names)
    content = None
    if before is not None and field.name in before.column_names and not cells.wrong:
        content = content_likeness(before[field.name].combine_chunks(), cells.values)
    elif field.levels and not cells.wrong:
        content = _of_levels(field, cells.values)
    if content is None:
        likeness, why = 0.95 * name + 0.05 * place, f"its name is {name:.0%} alike"
        if field.type == "string" and _all_numbers(text):
            likeness *= 0.8  # any column parses as text, but text columns rarely hold only numbers
    else:
        likeness = 0.55 * content + 0.3 * name + 0.15 * place
        why = f"its values are {content:.0%} alike and its name {name:.0%}"
    if place == 1:
        why += ", and its position is the same"
    return Rename(field.name, header, likeness, why)


def _all_numbers(text: pa.Array) -> bool:
    fits = pc.match_substring_regex(text, r"^-?[0-9]+(\.[0-9]+)?$")
    return bool(pc.all(fits).as_py())


def name_likeness(first: str, second: str) -> float:
    """Return the similarity of two names, 0 to 1, by words, abbreviations and letters."""
    first_words, second_words = plain_name(first).split("_"), plain_name(second).split("_")
    if "".join(first_words) == "".join(second_words):
        return 1.0
    by_words = sum(
        max((_word(a, b) for b in second_words), default=0.0) for a in first_words
    ) + sum(max((_word(a, b) for a in first_words), default=0.0) for b in second_words)
    by_letters = SequenceMatcher(None, "".join(first_words), "".join(second_words)).ratio()
    return max(by_words / (len(first_words) + len(second_words)), by_letters)


def _word(first: str, second: str) -> float:
    if first == second:
        return 1.0
    short, long = sorted((first, second), key=len)
    if len(short) >= 2 and long.startswith(short):
        return 0.9
    letters = iter(long)
    if len(short) >= 3 and short[0] == long[0] and all(char in letters for char in short):
        return 0.8  # an abbreviation, such as qty for quantity
    ratio = SequenceMatcher(None, first, second).ratio()
    return ratio if ratio >= 0.6 else 0.0


def _place(contract: Contract, field: Field, header: str, headers: Sequence[str]) -> float:
    """Return the share of the column's two neighbours that stayed the same: 0, 0.5 or 1."""
    names = [[column.name, *column.aliases] for column in contract.delivered]
    at, position = contract.delivered.index(field), list(headers).index(header)
    before = at == position == 0 or (
        at > 0 and position > 0 and headers[position - 1] in names[at - 1]
    )
    last, end = at == len(names) - 1, position == len(headers) - 1
    after = (last and end) or (not last and not end and headers[position + 1] in names[at + 1])
    return (before + after) / 2


def content_likeness(first: pa.Array, second: pa.Array) -> float | None:
    """Return the similarity of two columns' values, 0 to 1; None if they cannot be compared."""
    first, second = (column.drop_null()[:_MOST_ROWS] for column in (first, second))
    if not len(first) or not len(second):
        return None
    if pa.types.is_integer(first.type) or pa.types.is_floating(first.type):
        return _of_numbers(*(column.to_numpy(zero_copy_only=False) for column in (first, second)))
    if pa.types.is_timestamp(first.type):
        return None  # later rows have later times, so the values differ anyway
    if pa.types.is_boolean(first.type):
        first, second = first.cast(pa.string()), second.cast(pa.string())
    return max(_overlap(first, second), 0.9 * _overlap(_shapes(first), _shapes(second)))


def _of_numbers(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return 1 minus the Kolmogorov-Smirnov distance of the two samples."""
    points = np.sort(np.concatenate([first, second]))
    shares = [
        np.searchsorted(np.sort(side), points, "right") / len(side) for side in (first, second)
    ]
    return float(1 - np.abs(shares[0] - shares[1]).max())


def _overlap(first: pa.Array, second: pa.Array) -> float:
    """Return the overlap of the two value distributions, 0 to 1."""
    shares = []
    for side in (first, second):
        counts = pc.value_counts(side).to_pylist()
        shares.append({row["values"]: row["counts"] / len(side) for row in counts})
    alike = (min(share, shares[1].get(value, 0.0)) for value, share in shares[0].items())
    return float(sum(alike))


def _shapes(texts: pa.Array) -> pa.Array:
    """Replace each letter and digit with its kind: `UA 15` becomes `AA 00`."""
    shaped = pc.replace_substring_regex(texts, r"\p{Lu}", "A")
    shaped = pc.replace_substring_regex(shaped, r"\p{Ll}", "a")
    return pc.replace_substring_regex(shaped, r"\d", "0")


def _of_levels(field: Field, values: pa.Array) -> float | None:
    levels = pc.unique(values.cast(pa.string())).drop_null().to_pylist()
    return sum(code in field.levels for code in levels) / len(levels) if levels else None
