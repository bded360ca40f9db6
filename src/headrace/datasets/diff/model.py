"""Data model of a diff of two releases; `ReleaseDiff.to_json()` is the output of `--json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.core.hooks import provided

# A JSON value: number, text, bool or None.
Cell = Any


@dataclass(frozen=True)
class Row:
    """A row, identified by its key.

    If both releases have the row, `t` (RFC 3339) is from the second release.
    """

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
    """Changed cells of one row: column -> (before, after)."""

    row: Row
    cells: Mapping[str, tuple[Cell, Cell]]


@dataclass(frozen=True)
class RowCounts:
    """Counts of rows, matched by key, and examples.

    Attributes:
        before, after: number of rows of the two releases.
        added, removed: rows whose key is only in the second release, or only in the first.
        changed: rows in both releases in which a cell other than the split differs.
        moved: rows in both releases that are in another split; their cells may differ as well.
        same: rows in both releases that neither changed nor moved.
        skipped: rows in equal parts, which were not read; `same` includes them.
        added_by_split, removed_by_split: counts by split.
        moves: (split before, split after, rows).
        examples_*: a few rows of each kind, in the order in which they were read.
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
    """Statistics of a column from the manifest; a field is None if the manifest lacks it."""

    nulls: int
    low: Cell
    high: Cell
    mean: float | None


@dataclass(frozen=True)
class Distribution:
    """Distance between the distributions of a column.

    Attributes:
        distance: from 0 (equal) to 1 (disjoint). Numbers and timestamps: Kolmogorov-Smirnov
            distance. Text: total variation distance. If the share of nulls changed by more than
            this distance, `distance` is that change instead.
        psi: population stability index over ten bins of equal share in the first release, or over
            the values of a text column; below 0.1 is commonly called stable, above 0.25 a shift.
        before, after: shares of the non-null rows, one for each bar of the chart.
        names: names of the bars of a text column.
        low, high: start of the first and end of the last bar of a numeric column.
    """

    distance: float
    psi: float
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    low: Cell = None
    high: Cell = None


@dataclass(frozen=True)
class ColumnDiff:
    """A column that both releases have.

    Attributes:
        changed: number of cells that differ in rows with the same key; None if the column changed
            its type, since cells of different types are not compared.
        examples: a few of these cells.
        before, after: statistics from the manifests.
        distribution: None if no cell changed and no row was added or removed, or if distributions
            were not requested.
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
    """A column that was added, removed or retyped, or whose role changed; `what` says which."""

    column: str
    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class MetadataChange:
    """A change of other metadata; `before` or `after` is None if that manifest lacks the entry."""

    group: str
    name: str
    before: Cell
    after: Cell


@dataclass(frozen=True)
class VersionChange:
    """Change of one version, and the reasons.

    The version is later than the first release, and at most as late as the second.
    """

    version: str
    change: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ReleaseDiff:
    """Two releases of one dataset.

    Attributes:
        before, after: `name@version` of the two.
        equal: True if at most the origin differs, so that rows, cells, splits, schema, definitions,
            contracts, label, split rule, parameters, fits and governance are the same.
        content_equal: True if the content hashes are the same.
        change, reasons: version step from the first release to the second, by the version rules.
        keys: the key columns; None if they differ, so that rows could not be matched.
        columns: columns of both releases, most changed first.
        meaning: definitions, contracts, label, split rule, mode, parameters, fits.
        governance: purposes, licences, owners, privacy, retention, erasures, overrides.
        origin: snapshots, batches, cutoff and code revision; they do not affect `equal`.
        steps: versions after the first release, up to and including the second, if both releases
            are in the same store.
        parts: numbers of parts: (first release, second release, in both and so not read).
    """

    before: str
    after: str
    equal: bool
    content_equal: bool
    content_hashes: tuple[str, str]
    change: str
    reasons: tuple[str, ...]
    keys: tuple[str, ...] | None
    rows: RowCounts
    schema: tuple[SchemaChange, ...]
    columns: tuple[ColumnDiff, ...]
    meaning: tuple[MetadataChange, ...]
    governance: tuple[MetadataChange, ...]
    origin: tuple[MetadataChange, ...]
    steps: tuple[VersionChange, ...]
    parts: tuple[int, int, int]
    format: int = field(default=1, kw_only=True)

    def to_json(self) -> dict[str, Any]:
        """The document that `docs/reference/dataset-diff.md` describes."""
        return asdict(self)

    def html(self) -> str:
        """The diff as one self-contained HTML page."""
        return str(provided("diff_page")(self))
