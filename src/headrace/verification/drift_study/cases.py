"""Windows of a study, with and without injected faults, on which other detectors can be tested."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.monitoring.evidence.model import Window
from headrace.verification.drift_study.engine import Prepared
from headrace.verification.drift_study.fault_catalogue import Planted, StudyFault
from headrace.verification.drift_study.replayed_history import ReplayedHistory
from headrace.verification.drift_study.scoring import FaultOutcome

SAMPLE = 2  # cases per fault and history; few, as other detectors may take seconds per window


@dataclass(frozen=True, eq=False)
class StudyCase:
    """Windows with an injected fault, for other detectors.

    `rows` has `t`, the monitored columns, `score`, `label` and `window` (int64, index of the row's
    window in the history). Rows without a score have null in `score` and `label`. `windows` are the
    indices of the windows with the fault. `monitor_outcome` is the result of Headrace's monitor.
    """

    fault: StudyFault
    history: str
    monitor_outcome: FaultOutcome
    windows: tuple[int, ...]
    rows: pa.Table


@dataclass(eq=False)
class Cases:
    """Collector of the original histories, and of `sample` cases of each fault in each history."""

    sample: int = SAMPLE
    prepared: dict[str, Prepared] = field(default_factory=dict)
    cases: list[StudyCase] = field(default_factory=list)

    def see(self, prepared: Prepared) -> None:
        """Add a history without faults."""
        self.prepared[prepared.history.name] = prepared

    def add(self, prepared: Prepared, planted: Planted, monitor_outcome: FaultOutcome) -> None:
        """Add a case, unless the sample is full or the history is used for tuning only."""
        name = prepared.history.name
        count = sum(case.fault == planted.fault and case.history == name for case in self.cases)
        if count >= self.sample or prepared.history.part == "tuning":
            return
        places = [prepared.windows.index(window) for window in planted.windows]
        rows = rows_by_window(planted.history, prepared.windows, planted.windows)
        self.cases.append(StudyCase(planted.fault, name, monitor_outcome, tuple(places), rows))


def rows_by_window(
    history: ReplayedHistory, laid: list[Window], windows: Iterable[Window]
) -> pa.Table:
    """Return the rows of `windows`, with the columns of `StudyCase.rows`."""
    parts = []
    for window in windows:
        first, last = np.searchsorted(history.day, [window.first, window.end]).tolist()
        rows = history.frame.slice(first, last - first).select(["t", *history.watched])
        place = pa.array(np.full(last - first, laid.index(window)), pa.int64())
        for name in ("score", "label"):
            rows = rows.append_column(name, _answers(history, name, first, last))
        parts.append(rows.append_column("window", place))
    return pa.concat_tables(parts)


def _answers(history: ReplayedHistory, name: str, first: int, last: int) -> pa.ChunkedArray:
    """Return column `name` of the scores for frame rows [first, last); null for unscored rows."""
    skipped = history.first_scored
    column = history.scores[name]
    without = max(0, min(last, skipped) - first)
    scored = column.slice(max(0, first - skipped), last - first - without)
    return pa.chunked_array([pa.nulls(without, column.type), *scored.chunks], column.type)
