"""Whether rows of one split say what is in another: the same entity, or a twin under another key.

A twin agrees in every feature (floats rounded, declared columns left aside) and lies in another
split: a model may know its answer by heart. Rows are compared by a 64-bit hash of these values, so
that ten million take eight bytes each; examples are read back, so that what is shown is true.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.hashing.row_hash import Hashes, row_hashes
from headrace.datasets.manifest import Column
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rules import GroupSplits, Leakage, exact
from headrace.datasets.vocabulary import PLACES

EXAMPLES = 5
_BLOCK = 1 << 20

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Twins:
    """What was found in one split that is not train: `rows` of `of`, with some pairs by key."""

    split: str
    rows: int
    of: int
    examples: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)

    @property
    def share(self) -> Fraction:
        return Fraction(self.rows, self.of) if self.of else Fraction(0)


def check_leakage(
    spec: DatasetSpec, table: pa.Table, columns: Sequence[Column]
) -> dict[str, dict[str, int]]:
    """What is in two splits, for the manifest: `{"twins": {split: rows}, "groups": {split: n}}`.

    `table` has the columns of the release, `split` among them. Raises DeclarationError when there
    is more than the spec allows, unless it says why that may be.
    """
    rule = spec.leakage
    group = _group(spec)
    shared = shared_groups(table, group, spec.key) if group else []
    compared = compared_columns(rule, columns)
    twins = twins_of(table, compared, spec.key, rule) if compared else []
    if not rule.because:
        _refuse_groups(spec, group, shared)
        _refuse_twins(spec, compared, twins)
    return {
        "twins": {twin.split: twin.rows for twin in twins},
        "groups": {one.split: one.rows for one in shared},
    }


def _group(spec: DatasetSpec) -> tuple[str, ...]:
    """Splits by group forbid a group in two of them, whether or not it is declared again."""
    return spec.leakage.group or (spec.splits.by if isinstance(spec.splits, GroupSplits) else ())


def compared_columns(rule: Leakage, columns: Sequence[Column]) -> tuple[str, ...]:
    """The features that twins agree in; raises DeclarationError for an `ignore` that fits none."""
    roles = {"feature", "label"} if rule.with_label else {"feature"}
    names = [column.name for column in columns if column.role in roles]
    for pattern in rule.ignore:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DeclarationError(
                f"ignore: no feature fits {pattern!r}",
                where="Leakage",
                fix=f"choose from {', '.join(names)}",
            )
    return tuple(name for name in names if not any(fnmatchcase(name, one) for one in rule.ignore))


def twins_of(
    table: pa.Table, columns: Sequence[str], key: Sequence[str], rule: Leakage
) -> list[Twins]:
    """For each split but train: how many rows agree in `columns` with a row of train.

    A row that is null in all of them says nothing, and is no twin.
    """
    hashes = rounded_hashes(table, columns, rule.digits)
    said = _says_something(table, columns)
    search = _Search(table, hashes, said, tuple(key), rule.common)
    codes = _codes(table)
    train = np.flatnonzero(codes == 0)
    return [search.matched(name, rows, train) for name, rows, _ in _other_splits(codes)]


def shared_groups(table: pa.Table, group: Sequence[str], key: Sequence[str]) -> list[Twins]:
    """For each split but train: how many rows are of a group that is in an earlier split, too."""
    everything = np.ones(table.num_rows, np.bool_)
    names = tuple(dict.fromkeys([*key, *group]))
    search = _Search(table, row_hashes(table, group), everything, names)
    return [search.matched(*found) for found in _other_splits(_codes(table))]


def rounded_hashes(table: pa.Table, columns: Sequence[str], digits: int | None) -> Hashes:
    """Of each row, floats first rounded to so many significant decimal digits; block by block."""
    if digits is None:
        return row_hashes(table, columns)
    parts = [
        row_hashes(_rounded(table.slice(start, _BLOCK), columns, digits), columns)
        for start in range(0, table.num_rows, _BLOCK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _rounded(block: pa.Table, columns: Sequence[str], digits: int) -> pa.Table:
    return pa.table({name: _rounded_column(block.column(name), digits) for name in columns})


def _rounded_column(column: pa.ChunkedArray, digits: int) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    values = column.cast(pa.float64()).fill_null(0.0).to_numpy()
    return pa.chunked_array([pa.array(significant(values, digits), mask=_nulls(column))])


def significant(values: npt.NDArray[np.float64], digits: int) -> npt.NDArray[np.float64]:
    """Each value as a whole number of its own last digit, and that digit's place, in one float.

    Not for people: equal exactly when the rounded values are, which is all that is asked.
    """
    fine = np.isfinite(values) & (values != 0)
    size = np.zeros(len(values))
    size[fine] = np.floor(np.log10(np.abs(values[fine])))
    fine &= np.abs(size) < 290  # beyond, a power of ten hardly is a float: they stay as they are
    found = values + 0.0
    scale = 10.0 ** (digits - 1 - size[fine])
    found[fine] = np.rint(values[fine] * scale) / scale
    return found


def _nulls(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = column.is_null().to_numpy()
    return found


def _says_something(table: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    said = np.zeros(table.num_rows, np.bool_)
    for name in columns:
        column = table.column(name)
        said |= True if not column.null_count else ~_nulls(column)
    return said


def _codes(table: pa.Table) -> Rows:
    codes = pc.index_in(table.column("split"), value_set=pa.array(PLACES)).fill_null(-1)
    found: Rows = codes.cast(pa.int64()).to_numpy()
    return found


def _other_splits(codes: Rows) -> Iterator[tuple[str, Rows, Rows]]:
    """Each split but train that has rows, its rows, and those of all splits before it."""
    for place, name in enumerate(PLACES[1:], start=1):
        if len(rows := np.flatnonzero(codes == place)):
            yield name, rows, np.flatnonzero((codes >= 0) & (codes < place))


@dataclass(frozen=True)
class _Search:
    """Rows of `table` by their hashes.

    `said` marks those that may be found, `names` are shown, and a hash that more than `common` rows
    have is none.
    """

    table: pa.Table
    hashes: Hashes
    said: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    common: int | None = None

    def matched(self, split: str, rows: Rows, among: Rows) -> Twins:
        """Those of `rows` whose hash is among those of `among`."""
        order = np.argsort(self.hashes[among], kind="stable")
        known = self.hashes[among][order]
        if not len(known):
            return Twins(split, 0, len(rows))
        place, end = (np.searchsorted(known, self.hashes[rows], side) for side in ("left", "right"))
        many = len(known) if self.common is None else self.common
        hit = self.said[rows] & (place < end) & (end - place <= many)
        found, twins = rows[hit], among[order[place[hit]]]
        kept = self.table.select([*self.names, "split"])
        examples = tuple(
            {"row": _row(kept, int(row)), "twin": _row(kept, int(twin))}
            for row, twin in zip(found[:EXAMPLES], twins[:EXAMPLES], strict=True)
        )
        return Twins(split, len(found), len(rows), examples)


def _row(table: pa.Table, row: int) -> dict[str, Any]:
    found: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    return found


def _refuse_groups(spec: DatasetSpec, group: Sequence[str], shared: Sequence[Twins]) -> None:
    if not (bad := [one for one in shared if one.rows]):
        return
    counted = ", ".join(f"{one.rows:,} rows of {one.split}" for one in bad)
    raise DeclarationError(
        f"the same {' and '.join(group)} is in more than one split: {counted}",
        where=f"dataset {spec.name}, for example {_told(bad[0])}",
        fix=f"splits=GroupSplits(by={tuple(group)!r}, ...), which keeps each in one; or say why it"
        " may be: Leakage(..., because='...'), which stays in the manifest",
    )


def _refuse_twins(spec: DatasetSpec, compared: Sequence[str], twins: Sequence[Twins]) -> None:
    allowed = exact(spec.leakage.share)
    if not (bad := [twin for twin in twins if twin.share > allowed]):
        return
    counted = ", ".join(
        f"{one.rows:,} of {one.of:,} rows of {one.split} ({float(one.share):.2%})" for one in bad
    )
    raise DeclarationError(
        f"rows agree in all {len(compared)} features with a row of train: {counted};"
        f" {float(allowed):.2%} are allowed",
        where=f"dataset {spec.name}, for example {_told(bad[0])}",
        fix="find out why a row comes twice under two keys; where it is in their nature, declare"
        " Leakage(share=...) or Leakage(because='...'), which stays in the manifest",
    )


def _told(one: Twins) -> str:
    pair = one.examples[0]
    return " and ".join(
        f"{side['split']} { ({k: v for k, v in side.items() if k != 'split'}) }"
        for side in (pair["row"], pair["twin"])
    )
