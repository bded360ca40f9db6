"""Clocks and moments that are hours off: another time zone, or a switch that was missed."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import HOUR, MINUTES_A_DAY, Look, clocks
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import Case, Trial

# Of the rows have to be lost before a group is tried: fewer where they leave the hours of the slot.
_LEAST, _LEAST_OF_HOURS = 0.3, 0.02
_OF_HOURS = ("inside:", "pace:", "covered:")
_HOURS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 8, -8)


def zone_shifts(case: Case) -> Iterator[Finding]:
    best: tuple[Trial, tuple[str, ...], int] | None = None
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


def _is_suspect(case: Case, names: tuple[str, ...]) -> bool:
    lost = [v for mark, v in case.lost.items() if mark.startswith(_OF_HOURS)]
    of_hours = max(lost, default=0.0) if time_inputs(case.look).intersection(names) else 0.0
    rows = case.look.rows
    return bool(of_hours >= _LEAST_OF_HOURS * rows > 0) or case.loss(names) >= _LEAST * rows


def _groups(look: Look) -> list[tuple[str, ...]]:
    """Each column of a time alone, all clocks, all moments, all of both."""
    clock = [c.name for c in look.columns.values() if c.kind == "clock"]
    moment = [c.name for c in look.columns.values() if c.kind == "moment"]
    groups: list[tuple[str, ...]] = [(name,) for name in (*clock, *moment)]
    groups += [tuple(g) for g in (clock, moment, [*clock, *moment]) if len(g) > 1]
    return list(dict.fromkeys(groups))


def shifted(look: Look, name: str, by: int) -> pa.Array:
    """A column of times moved by so many minutes; a clock goes round."""
    column = look.columns[name]
    if column.kind == "moment":
        array = look.arrays[name]
        moved = np.asarray(array.cast(pa.int64()).fill_null(0)) + by * (HOUR // 60)
        return pa.array(moved, mask=~column.present).cast(array.type)
    values = clocks((column.values + by) % MINUTES_A_DAY)
    return pa.array(np.nan_to_num(values).astype(np.int64), mask=~column.present)


def _finding(trial: Trial, names: tuple[str, ...], hours: int) -> Finding:
    direction = "late" if hours > 0 else "early"
    sentence = (
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {abs(hours)} h too {direction},"
        f" as in another time zone: moved back, {trial.words}"
    )
    return Finding("zone_shift", names, sentence, {"hours": hours, **trial.told}, weight=trial.gain)
