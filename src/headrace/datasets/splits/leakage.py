"""Leakage between splits: the same group in two splits, or twins (duplicate rows across splits).

Twins are rows of different splits that agree in every feature (floats rounded, ignored columns
excluded), so that a model may have memorised the label. Rows are compared by a 64-bit hash of their
values.
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
from headrace.datasets.manifest import ManifestColumn
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rules import GroupSplits, Leakage, exact
from headrace.datasets.vocabulary import PLACES

EXAMPLES = 5
_BLOCK = 1 << 20

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Twins:
    """Leaking rows of a split other than train: `rows` of its `of` rows, with example pairs."""

    split: str
    rows: int
    of: int
    examples: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)

    @property
    def share(self) -> Fraction:
        return Fraction(self.rows, self.of) if self.of else Fraction(0)


def check_leakage(
    spec: DatasetSpec, table: pa.Table, columns: Sequence[ManifestColumn]
) -> dict[str, dict[str, int]]:
    """Count leaks for the manifest: `{"twins": {split: rows}, "groups": {split: rows}}`.

    `table` has the columns of the release, including `split`. Raises DeclarationError if there are
    more leaks than the spec allows, unless the spec gives a reason.
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
        "groups": {overlap.split: overlap.rows for overlap in shared},
    }


def _group(spec: DatasetSpec) -> tuple[str, ...]:
    """Columns whose values must not be in two splits; by default the columns of group splits."""
    return spec.leakage.group or (spec.splits.by if isinstance(spec.splits, GroupSplits) else ())


def compared_columns(rule: Leakage, columns: Sequence[ManifestColumn]) -> tuple[str, ...]:
    """Columns to compare. Raises DeclarationError if a pattern of `ignore` matches none."""
    roles = {"feature", "label"} if rule.with_label else {"feature"}
    names = [column.name for column in columns if column.role in roles]
    for pattern in rule.ignore:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DeclarationError(
                f"ignore: no feature matches {pattern!r}",
                where="Leakage",
                fix=f"choose from {', '.join(names)}",
            )
    return tuple(
        name for name in names if not any(fnmatchcase(name, pattern) for pattern in rule.ignore)
    )


def twins_of(
    table: pa.Table, columns: Sequence[str], key: Sequence[str], rule: Leakage
) -> list[Twins]:
    """Count, for each split except train, the rows that equal a train row in `columns`.

    A row that is null in all these columns is never a twin.
    """
    hashes = rounded_hashes(table, columns, rule.digits)
    has_values = _has_any_value(table, columns)
    search = _Search(table, hashes, has_values, tuple(key), rule.common)
    codes = _codes(table)
    train = np.flatnonzero(codes == 0)
    return [search.matched(name, rows, train) for name, rows, _ in _other_splits(codes)]


def shared_groups(table: pa.Table, group: Sequence[str], key: Sequence[str]) -> list[Twins]:
    """Count, for each split except train, the rows whose group is also in an earlier split."""
    everything = np.ones(table.num_rows, np.bool_)
    names = tuple(dict.fromkeys([*key, *group]))
    search = _Search(table, row_hashes(table, group), everything, names)
    return [search.matched(*split_rows) for split_rows in _other_splits(_codes(table))]


def rounded_hashes(table: pa.Table, columns: Sequence[str], digits: int | None) -> Hashes:
    """Hash of each row, uint64, with floats rounded to `digits` significant digits."""
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
    """Round each value to `digits` significant decimal digits.

    Use the results only for comparison: they are equal if and only if the rounded values are.
    """
    fine = np.isfinite(values) & (values != 0)
    size = np.zeros(len(values))
    size[fine] = np.floor(np.log10(np.abs(values[fine])))
    fine &= np.abs(size) < 290  # larger powers of ten overflow: such values stay unrounded
    rounded = values + 0.0
    scale = 10.0 ** (digits - 1 - size[fine])
    rounded[fine] = np.rint(values[fine] * scale) / scale
    return rounded


def _nulls(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    nulls: npt.NDArray[np.bool_] = column.is_null().to_numpy()
    return nulls


def _has_any_value(table: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    has_values = np.zeros(table.num_rows, np.bool_)
    for name in columns:
        column = table.column(name)
        has_values |= True if not column.null_count else ~_nulls(column)
    return has_values


def _codes(table: pa.Table) -> Rows:
    codes = pc.index_in(table.column("split"), value_set=pa.array(PLACES)).fill_null(-1)
    numbers: Rows = codes.cast(pa.int64()).to_numpy()
    return numbers


def _other_splits(codes: Rows) -> Iterator[tuple[str, Rows, Rows]]:
    """Yield (name, its rows, rows of earlier splits) for each split except train with rows."""
    for place, name in enumerate(PLACES[1:], start=1):
        if len(rows := np.flatnonzero(codes == place)):
            yield name, rows, np.flatnonzero((codes >= 0) & (codes < place))


@dataclass(frozen=True)
class _Search:
    """Search for rows of `table` by their hashes.

    Only rows with `has_values` can match. Examples show the columns `names`. Hashes that more than
    `common` rows share are ignored.
    """

    table: pa.Table
    hashes: Hashes
    has_values: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    common: int | None = None

    def matched(self, split: str, rows: Rows, among: Rows) -> Twins:
        """Find the rows of `rows` whose hash also occurs in `among`."""
        order = np.argsort(self.hashes[among], kind="stable")
        sorted_hashes = self.hashes[among][order]
        if not len(sorted_hashes):
            return Twins(split, 0, len(rows))
        place, end = (
            np.searchsorted(sorted_hashes, self.hashes[rows], side) for side in ("left", "right")
        )
        many = len(sorted_hashes) if self.common is None else self.common
        hit = self.has_values[rows] & (place < end) & (end - place <= many)
        matched_rows, twins = rows[hit], among[order[place[hit]]]
        excerpt = self.table.select([*self.names, "split"])
        examples = tuple(
            {"row": _row(excerpt, int(row)), "twin": _row(excerpt, int(twin))}
            for row, twin in zip(matched_rows[:EXAMPLES], twins[:EXAMPLES], strict=True)
        )
        return Twins(split, len(matched_rows), len(rows), examples)


def _row(table: pa.Table, row: int) -> dict[str, Any]:
    values: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    return values


def _refuse_groups(spec: DatasetSpec, group: Sequence[str], shared: Sequence[Twins]) -> None:
    if not (bad := [overlap for overlap in shared if overlap.rows]):
        return
    counted = ", ".join(f"{overlap.rows:,} rows of {overlap.split}" for overlap in bad)
    raise DeclarationError(
        f"the same {' and '.join(group)} is in more than one split: {counted}",
        where=f"dataset {spec.name}, for example {_example_text(bad[0])}",
        fix=f"splits=GroupSplits(by={tuple(group)!r}, ...), which keeps each group in one split; or"
        " allow it with a reason: Leakage(..., because='...'), which stays in the manifest",
    )


def _refuse_twins(spec: DatasetSpec, compared: Sequence[str], twins: Sequence[Twins]) -> None:
    allowed = exact(spec.leakage.share)
    if not (bad := [twin for twin in twins if twin.share > allowed]):
        return
    counted = ", ".join(
        f"{overlap.rows:,} of {overlap.of:,} rows of {overlap.split} ({float(overlap.share):.2%})"
        for overlap in bad
    )
    raise DeclarationError(
        f"rows agree in all {len(compared)} features with a row of train: {counted};"
        f" {float(allowed):.2%} are allowed",
        where=f"dataset {spec.name}, for example {_example_text(bad[0])}",
        fix="find out why rows are duplicated under two keys; if that is expected, declare"
        " Leakage(share=...) or Leakage(because='...'), which stays in the manifest",
    )


def _example_text(overlap: Twins) -> str:
    pair = overlap.examples[0]
    return " and ".join(
        f"{side['split']} { ({k: v for k, v in side.items() if k != 'split'}) }"
        for side in (pair["row"], pair["twin"])
    )
