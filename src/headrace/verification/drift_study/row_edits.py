"""Take the rows of a window out of a history, edit them, and put them back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.clock import DAY, duration
from headrace.core.errors import DeclarationError
from headrace.monitoring.evidence.model import Window
from headrace.sketches import kind_of, numbers, one_array
from headrace.verification.drift_study.replayed_history import ReplayedHistory, scores_of

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
USUAL = 4_000  # size of the sample of earlier rows, from which usual values are taken


@dataclass(frozen=True, eq=False)
class HistoryRows:
    """Consecutive scored rows of a history, and the edited rows that replace them.

    `first` and `count` are the replaced rows of the frame. `table` (columns of the frame) and
    `label` (int64) are the edited rows. `before` is a sample of at most `USUAL` earlier rows.
    """

    history: ReplayedHistory
    first: int
    count: int
    table: pa.Table
    label: pa.Array
    before: pa.Table

    def with_columns(self, columns: Mapping[str, pa.Array]) -> "HistoryRows":
        """Replace the values of these columns; their types stay the same."""
        table = self.table
        for name, values in columns.items():
            kind = table.schema.field(name).type
            table = table.set_column(table.column_names.index(name), name, values.cast(kind))
        return replace(self, table=table)

    def with_label(self, label: npt.NDArray[np.int64]) -> "HistoryRows":
        return replace(self, label=pa.array(label, pa.int64(), mask=~valid_labels(self.label)))

    def take(self, at: Ints) -> "HistoryRows":
        """Return the rows at these indices, in order of time; indices may repeat."""
        order = np.sort(at)
        return replace(self, table=self.table.take(pa.array(order)), label=self.label.take(order))


def rows_of(
    history: ReplayedHistory, window: Window, *, labels: bool, before: pa.Table | None = None
) -> HistoryRows:
    """Return the rows of a window; with `labels`, the rows whose labels are evaluated in it.

    A label is evaluated in the window in which it becomes known. `before` is the sample of earlier
    rows; with None it is taken from the rows before this window.

    Raises:
        DeclarationError: some of the rows have no score.
    """
    late = duration(history.offset) + (duration(history.maturity) if labels else 0)
    bounds = [window.first * DAY - late, window.end * DAY - late]
    first, last = np.searchsorted(history.t, bounds).tolist()
    skipped = history.first_scored
    if first < skipped:
        raise DeclarationError(
            "faults need rows with scores", where=f"{history.name}, {window.text}"
        )
    table = history.frame.slice(first, last - first)
    label = one_array(history.scores["label"].slice(first - skipped, last - first))
    if before is None:
        earlier = np.unique(np.linspace(0, first - 1, USUAL).astype(np.int64))
        before = history.frame.take(pa.array(earlier))
    return HistoryRows(history, first, last - first, table.combine_chunks(), label, before)


def replace_rows(changed: HistoryRows) -> ReplayedHistory:
    """Put edited rows back into their history; if inputs changed, the model scores them again."""
    history, count = changed.history, changed.count
    skipped = history.first_scored
    frame = _spliced(history.frame, changed.first, count, changed.table)
    unchanged = history.frame.slice(changed.first, count).equals(changed.table)
    if unchanged:
        score = history.scores["score"].slice(changed.first - skipped, count).to_numpy()
    elif history.scorer is not None:
        score = history.scorer(changed.table)
    else:
        raise DeclarationError(
            "changed inputs need a model to score them", where=f"history {history.name}"
        )
    part = scores_of(changed.table, score, changed.label, history.segments)
    part = part.select([n for n in history.scores.column_names if n in part.column_names])
    extra = [n for n in history.scores.column_names if n not in part.column_names]
    old = history.scores.drop_columns(extra)
    scores = _spliced(old, changed.first - skipped, count, part)
    return replace(history, frame=frame, scores=scores)


def _spliced(table: pa.Table, first: int, count: int, part: pa.Table) -> pa.Table:
    """Replace `count` rows of `table`, starting at index `first`, by `part`."""
    part = part.cast(table.schema)
    return pa.concat_tables([table.slice(0, first), part, table.slice(first + count)])


def valid_labels(label: pa.Array) -> Mask:
    result: Mask = label.is_valid().to_numpy(zero_copy_only=False)
    return result


def labels_of(rows: HistoryRows) -> Ints:
    """Return the labels as int64; 0 for unknown labels."""
    result: Ints = rows.label.fill_null(0).to_numpy(zero_copy_only=False).copy()
    return result


def numbers_of(table: pa.Table, name: str) -> tuple[Floats, Mask]:
    """Return a column's values (float64) and a mask of those that are not null."""
    values, valid = numbers(one_array(table[name]))
    return values.astype(np.float64), valid


def texts_of(table: pa.Table, name: str) -> npt.NDArray[np.object_]:
    """Return a text column's values, null as None."""
    return np.array(table[name].to_pylist(), dtype=object)


def numeric(history: ReplayedHistory) -> list[str]:
    """Return the monitored numeric columns."""
    return [n for n in history.watched if kind_of(history.frame.schema.field(n)) != "level"]


def textual(history: ReplayedHistory) -> list[str]:
    """Return the monitored text columns."""
    return [n for n in history.watched if kind_of(history.frame.schema.field(n)) == "level"]
