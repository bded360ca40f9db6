"""What differs between two releases, as data: `Diff.to_json()` is the document of `--json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.core.hooks import provided

# A JSON value: number, text, bool or None.
Cell = Any


@dataclass(frozen=True)
class Row:
    """A row by its key. `t` is RFC 3339; of a row in both releases it is that of the second."""

    key: Mapping[str, Cell]
    t: Cell
    split: Cell


@dataclass(frozen=True)
class CellChange:
    """One cell before and after."""

    row: Row
    before: Cell
    after: Cell


@dataclass(frozen=True)
class RowChange:
    """The cells of one row that changed: column -> (before, after)."""

    row: Row
    cells: Mapping[str, tuple[Cell, Cell]]


@dataclass(frozen=True)
class Rows:
    """Counts of rows by key, and some of them.

    Attributes:
        before, after: rows of the two releases.
        added, removed: rows whose key only the second, only the first release has.
        changed: rows in both in which a cell differs, the split aside.
        moved: rows in both that are in another split; they may have changed as well.
        same: rows in both that did neither.
        skipped: those of `same` that lie in parts which are equal, and were not read.
        added_by_split, removed_by_split: the counts, split by split.
        moves: (from, to, rows).
        examples_*: a few of them, in the order in which they were met.
    """

    before: int
    after: int
    added: int
    removed: int
    changed: int
    moved: int
    same: int
    skipped: int
    added_by_split: Mapping[str, int]
    removed_by_split: Mapping[str, int]
    moves: tuple[tuple[str, str, int], ...]
    examples_added: tuple[Row, ...]
    examples_removed: tuple[Row, ...]
    examples_changed: tuple[RowChange, ...]
    examples_moved: tuple[CellChange, ...]


@dataclass(frozen=True)
class Summary:
    """A column of a release in numbers, from its manifest; None where there is no such number."""

    nulls: int
    low: Cell
    high: Cell
    mean: float | None


@dataclass(frozen=True)
class Distribution:
    """How far a column's values moved.

    Attributes:
        distance: 0 alike to 1 nothing in common: of numbers and moments the greatest difference of
            the shares below any value (Kolmogorov and Smirnov), of text the share of rows that
            would have to change (total variation); a share of nulls that moved further counts.
        psi: population stability index over ten bins of equal share in the first release, or over
            values; below 0.1 is commonly called stable, above 0.25 a shift.
        before, after: shares of the rows with a value, one for each bar.
        names: of the bars of text.
        low, high: where the first bar of numbers begins and the last ends.
    """

    distance: float
    psi: float
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    low: Cell = None
    high: Cell = None


@dataclass(frozen=True)
class Column:
    """A column that both releases have.

    Attributes:
        changed: cells that differ in rows with the same key; None if it was retyped: cells of two
            types are not compared.
        examples: a few of them.
        before, after: numbers of the manifests.
        distribution: None where no cell changed and no row came or went, or it was not asked for.
    """

    name: str
    type: str
    role: str
    changed: int | None
    examples: tuple[CellChange, ...]
    before: Summary
    after: Summary
    distribution: Distribution | None = None


@dataclass(frozen=True)
class SchemaChange:
    """A column that was `added`, `removed`, `retyped`, or has another `role`."""

    column: str
    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Change:
    """Something else that a manifest says: `before` or `after` is None where it says nothing."""

    group: str
    name: str
    before: Cell
    after: Cell


@dataclass(frozen=True)
class Step:
    """A version between the two, the second included: what it was and why."""

    version: str
    change: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """Two releases of one dataset.

    Attributes:
        before, after: `name@version` of the two.
        equal: nothing differs but where it came from: rows, cells, splits, schema, definitions,
            contracts, label, split rule, parameters, fits and governance are the same.
        content_equal: the content hashes are the same.
        change, reasons: the step that a release of the second after the first would be.
        keys: the key columns; None if they differ, and rows could not be matched.
        columns: those of both releases, most changed first.
        meaning: definitions, contracts, label, split rule, mode, parameters, fits.
        governance: purposes, licences, owners, privacy, retention, erasures, overrides.
        origin: what makes no difference by itself: snapshots, batches, cutoff, code revision.
        steps: the versions in between, if the second came after the first in one store.
        parts: (of the first, of the second, those in both that were not read).
    """

    before: str
    after: str
    equal: bool
    content_equal: bool
    content_hashes: tuple[str, str]
    change: str
    reasons: tuple[str, ...]
    keys: tuple[str, ...] | None
    rows: Rows
    schema: tuple[SchemaChange, ...]
    columns: tuple[Column, ...]
    meaning: tuple[Change, ...]
    governance: tuple[Change, ...]
    origin: tuple[Change, ...]
    steps: tuple[Step, ...]
    parts: tuple[int, int, int]
    format: int = field(default=1, kw_only=True)

    def to_json(self) -> dict[str, Any]:
        """The document that `docs/reference/dataset-diff.md` describes."""
        return asdict(self)

    def html(self) -> str:
        """One self-contained page."""
        return str(provided("diff_page")(self))
