"""The windows of a study, untouched and altered, for others to judge."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.monitoring.evidence.model import Window
from headrace.verification.drift_study.engine import Prepared
from headrace.verification.drift_study.fault_catalogue import Fault, Planted
from headrace.verification.drift_study.replayed_history import History
from headrace.verification.drift_study.scoring import Outcome

SAMPLE = 2  # of each fault in each history: peers may take seconds a window


@dataclass(frozen=True, eq=False)
class Case:
    """Altered windows: `rows` has `t`, the watched columns, `score`, `label` and `window`.

    `window` (int64) is the place of the row's window in the history; rows without a score have null
    in `score` and `label`. `ours` is what our monitor made of it.
    """

    fault: Fault
    history: str
    ours: Outcome
    windows: tuple[int, ...]
    rows: pa.Table


@dataclass(eq=False)
class Cases:
    """The untouched rows of each history, and the first plantings of each fault in it."""

    sample: int = SAMPLE
    prepared: dict[str, Prepared] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)

    def see(self, prepared: Prepared) -> None:
        """An untouched history."""
        self.prepared[prepared.history.name] = prepared

    def add(self, prepared: Prepared, planted: Planted, ours: Outcome) -> None:
        """Keep it, if it is one of the sample; tuning histories are for settings alone."""
        name = prepared.history.name
        kept = sum(case.fault == planted.fault and case.history == name for case in self.cases)
        if kept >= self.sample or prepared.history.part == "tuning":
            return
        places = [prepared.windows.index(window) for window in planted.windows]
        rows = rows_by_window(planted.history, prepared.windows, planted.windows)
        self.cases.append(Case(planted.fault, name, ours, tuple(places), rows))


def rows_by_window(history: History, laid: list[Window], chosen: Iterable[Window]) -> pa.Table:
    """The rows of some windows as in `Case`."""
    parts = []
    for window in chosen:
        first, last = np.searchsorted(history.day, [window.first, window.end]).tolist()
        rows = history.frame.slice(first, last - first).select(["t", *history.watched])
        place = pa.array(np.full(last - first, laid.index(window)), pa.int64())
        for name in ("score", "label"):
            rows = rows.append_column(name, _answers(history, name, first, last))
        parts.append(rows.append_column("window", place))
    return pa.concat_tables(parts)


def _answers(history: History, name: str, first: int, last: int) -> pa.ChunkedArray:
    """A column of the scores for these rows of the frame, null before there were any."""
    skipped = history.first_scored
    known = history.scores[name]
    without = max(0, min(last, skipped) - first)
    some = known.slice(max(0, first - skipped), last - first - without)
    return pa.chunked_array([pa.nulls(without, known.type), *some.chunks], known.type)
