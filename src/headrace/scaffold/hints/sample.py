"""Rows from which hints are derived: typed columns of several deliveries, in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts import Contract, conform
from headrace.contracts.drift.batch_view import BatchView, ViewColumn
from headrace.contracts.drift.view_reader import look_at
from headrace.contracts.expressions import Expression, evaluate
from headrace.contracts.model import Field
from headrace.core.sql import ident
from headrace.scaffold.hints.model import HintEvidence
from headrace.sources.rows import RawRows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIRST_PART = 0.6  # share of the deliveries that suggest hints; the others confirm them
MOST_ROWS = 60_000  # rows compared; more are thinned evenly within each delivery
_SEED = 1


@dataclass(frozen=True, eq=False)
class HintColumn:
    """Delivered column over all deliveries.

    Attributes:
        field: its declaration.
        stored: values in the type of the contract.
        kind: number, clock, moment or text.
        values: numbers in the contract's unit, microseconds of moments; NaN for null and text.
        tokens: one int64 for each value, 0 for null.
        present: False for null.
    """

    field: Field
    stored: pa.Array
    kind: str
    values: Floats
    tokens: Ints
    present: Bools

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def header(self) -> str:
        """Name as delivered, which may have more words than the column's name."""
        return max((self.field.name, *self.field.aliases), key=len)

    @property
    def is_number(self) -> bool:
        return self.kind == "number"

    @property
    def sql(self) -> str:
        """SQL of the value in the contract's unit."""
        if not self.field.scale:
            return ident(self.name)
        return f"{ident(self.name)} / {10.0**self.field.scale!r}"

    @cached_property
    def step(self) -> float:
        """Last decimal of the values, as a number such as 0.01."""
        return 10.0 ** -decimals(self.values[self.present][:2000])

    @cached_property
    def distinct(self) -> int:
        return len(np.unique(self.tokens[self.present]))


@dataclass(frozen=True, eq=False)
class HintSample:
    """Columns of several deliveries; `delivery` is the number of each row's delivery.

    The first `cut` of the `count` deliveries suggest hints, the others confirm them.
    """

    contract: Contract
    columns: Mapping[str, HintColumn]
    delivery: Ints
    count: int
    cut: int
    event: Floats

    @cached_property
    def first(self) -> Bools:
        """Mask of the rows that suggest hints."""
        mask: Bools = self.delivery < self.cut
        return mask

    @property
    def numbers(self) -> list[HintColumn]:
        return [column for column in self.columns.values() if column.is_number]

    def evidence(self, fits: Bools, tested: Bools | None = None) -> HintEvidence:
        """Count the rows of `tested` for which `fits` is true, in both parts of the history."""
        rows = np.ones(len(fits), bool) if tested is None else tested
        first, later = rows & self.first, rows & ~self.first
        return HintEvidence(
            rows=int(first.sum()),
            holding=int((fits & first).sum()),
            deliveries=len(np.unique(self.delivery[first])),
            later_rows=int(later.sum()),
            later_holding=int((fits & later).sum()),
            later_deliveries=len(np.unique(self.delivery[later])),
        )

    def truth(self, sql: str, names: Sequence[str], *, shuffled: str = "") -> Bools:
        """Evaluate a relation as drift detection does: true also where it is null.

        With `shuffled`, the rows of this column are in random order.
        """
        arrays = {name: self.columns[name].stored for name in names}
        if shuffled:
            order = np.random.default_rng(_SEED).permutation(len(self.delivery))
            arrays[shuffled] = arrays[shuffled].take(pa.array(order))
        table = evaluate(arrays, [Expression("holds", sql, "boolean")])
        truth: Bools = pc.fill_null(table["holds"], True).to_numpy()
        return truth

    def integers(self, sql: str, names: Sequence[str]) -> Floats:
        """Evaluate SQL that returns an integer; NaN where it is null or fails."""
        arrays = {name: self.columns[name].stored for name in names}
        try:
            table = evaluate(arrays, [Expression("number", sql, "integer")])
        except duckdb.Error:
            return np.full(len(self.delivery), np.nan)
        numbers: Floats = table["number"].cast(pa.float64()).to_numpy()
        return numbers


def read_sample(
    contract: Contract, deliveries: Mapping[str, RawRows], cut: int | None = None
) -> HintSample:
    """Type the rows of `deliveries` ({partition: rows as text}, in order of time).

    The first `cut` of them suggest hints; by default, `FIRST_PART` of them.
    """
    views = []
    for slot, rows in deliveries.items():
        view = look_at(contract, rows, conform(contract, rows, slot), slot)
        if view.rows:
            views.append(view)
    thinned = [_thinned(view, MOST_ROWS // max(len(views), 1)) for view in views]
    names = [
        field.name
        for field in contract.delivered
        if all(field.name in view.columns for view in views)
    ]
    columns = {name: _column(contract.field(name), views, thinned, name) for name in names if views}
    delivery = [np.full(len(rows), number) for number, rows in enumerate(thinned)]
    event = [
        np.full(len(rows), np.nan) if view.event is None else view.event[rows]
        for view, rows in zip(views, thinned, strict=True)
    ]
    return HintSample(
        contract,
        columns,
        np.concatenate(delivery or [np.empty(0, np.int64)]).astype(np.int64),
        len(views),
        first_part(len(views)) if cut is None else cut,
        np.concatenate(event or [np.empty(0)]),
    )


def first_part(count: int) -> int:
    """Return the number of deliveries that suggest hints; all if there are no two."""
    return count if count < 2 else max(1, round(FIRST_PART * count))


def _thinned(view: BatchView, limit: int) -> Ints:
    """Return the rows to use: all, or about `limit` at even distances."""
    rows = np.arange(view.rows)
    return (
        rows if len(rows) <= limit else np.unique(np.linspace(0, len(rows) - 1, limit).astype(int))
    )


def _column(
    field: Field, views: Sequence[BatchView], rows: Sequence[Ints], name: str
) -> HintColumn:
    parts: list[tuple[ViewColumn, Ints]] = [
        (view.columns[name], picked) for view, picked in zip(views, rows, strict=True)
    ]
    stored = [
        view.arrays[name].take(pa.array(picked)).cast(field.arrow_type, safe=False)
        for view, picked in zip(views, rows, strict=True)
    ]
    return HintColumn(
        field,
        pa.concat_arrays(stored),
        parts[0][0].kind,
        np.concatenate([part.values[picked] for part, picked in parts])
        / 10.0 ** (field.scale or 0),
        np.concatenate([part.tokens[picked] for part, picked in parts]),
        np.concatenate([part.present[picked] for part, picked in parts]),
    )


def decimals(values: Floats, limit: int = 6) -> int:
    """Return the number of decimal places that nearly all values need, at most `limit`."""
    for places in range(limit):
        scaled = values * 10.0**places
        near = np.abs(scaled - np.rint(scaled)) <= 1e-6 * np.maximum(np.abs(scaled), 1)
        if not len(near) or near.mean() >= 0.995:
            return places
    return limit
