"""Detector for shifted times: another time zone, or a missed daylight-saving change."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import HOUR, MINUTES_A_DAY, BatchView, clocks
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase, HypothesisTrial

# Least share of misfitting rows for a group of columns to be tried. The second, lower limit is for
# marks of the partition's hours.
_MINIMUM, _MINIMUM_OF_HOURS = 0.3, 0.02
_OF_HOURS = ("inside:", "pace:", "covered:")
_HOURS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 8, -8)


def zone_shifts(case: DriftCase) -> Iterator[DriftFinding]:
    best: tuple[HypothesisTrial, tuple[str, ...], int] | None = None
    for names in _groups(case.look):
        if not _is_suspect(case, names):
            continue
        for hours in _HOURS:
            changed = {name: shifted(case.look, name, -60 * hours) for name in names}
            trial = case.try_out(changed)
            if trial.explains and (best is None or trial.rank > best[0].rank):
                best = (trial, names, hours)
    if best is not None:
        yield _finding(*best)


def _is_suspect(case: DriftCase, names: tuple[str, ...]) -> bool:
    excesses = [v for mark, v in case.excess.items() if mark.startswith(_OF_HOURS)]
    of_hours = max(excesses, default=0.0) if time_inputs(case.look).intersection(names) else 0.0
    rows = case.look.rows
    return bool(of_hours >= _MINIMUM_OF_HOURS * rows > 0) or case.loss(names) >= _MINIMUM * rows


def _groups(look: BatchView) -> list[tuple[str, ...]]:
    """Return the groups to shift: each time column alone, all clocks, all timestamps, and both."""
    clock = [c.name for c in look.columns.values() if c.kind == "clock"]
    moment = [c.name for c in look.columns.values() if c.kind == "moment"]
    groups: list[tuple[str, ...]] = [(name,) for name in (*clock, *moment)]
    groups += [tuple(g) for g in (clock, moment, [*clock, *moment]) if len(g) > 1]
    return list(dict.fromkeys(groups))


def shifted(look: BatchView, name: str, by: int) -> pa.Array:
    """Shift a time column by `by` minutes; a clock time wraps round at midnight."""
    column = look.columns[name]
    if column.kind == "moment":
        array = look.arrays[name]
        shifted_ = np.asarray(array.cast(pa.int64()).fill_null(0)) + by * (HOUR // 60)
        return pa.array(shifted_, mask=~column.present).cast(array.type)
    values = clocks((column.values + by) % MINUTES_A_DAY)
    return pa.array(np.nan_to_num(values).astype(np.int64), mask=~column.present)


def _finding(trial: HypothesisTrial, names: tuple[str, ...], hours: int) -> DriftFinding:
    direction = "late" if hours > 0 else "early"
    sentence = (
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {abs(hours)} h too {direction},"
        f" as in another time zone: moved back, {trial.words}"
    )
    return DriftFinding(
        "zone_shift", names, sentence, {"hours": hours, **trial.evidence}, weight=trial.gain
    )
