"""Detector for stuck readings: a sensor or a whole station repeats one reading."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.batch_view import BatchView, Bools, ViewColumn, once_a_batch
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase


def measured(look: BatchView) -> list[ViewColumn]:
    """Return numeric columns except keys, local times, and inputs of event time or known-at."""
    aside = {*look.contract.primary_key, *time_inputs(look)}
    zoned = {f.name for f in look.contract.delivered if f.zone}
    return [
        c
        for c in look.columns.values()
        if c.kind == "number" and c.name not in aside and c.name not in zoned
    ]


@once_a_batch
def ordered_rows(look: BatchView) -> tuple[np.ndarray, Bools]:
    """Return row numbers ordered by entity and time, and a mask of each entity's first row.

    An entity is a combination of text key values. With fewer than six rows per entity on average,
    all rows count as one entity, in delivered order.
    """
    keys = [look.columns[n] for n in look.contract.primary_key if n in look.columns]
    texts = [column for column in keys if column.kind == "text"]
    moments = look.event if look.event is not None else np.arange(look.rows, dtype=np.float64)
    entity = np.zeros(look.rows, np.int64)
    if texts:
        hashes, _ = look.key(tuple(c.name for c in texts))
        levels, entity = np.unique(hashes, return_inverse=True)
        if look.rows < 6 * len(levels):
            entity = np.zeros(look.rows, np.int64)
            moments = np.arange(look.rows, dtype=np.float64)
    order = np.lexsort((moments, entity))
    ordered = entity[order]
    return order, np.concatenate([[True], ordered[1:] != ordered[:-1]])


@once_a_batch
def has_readings(look: BatchView) -> bool:
    """Return True for a state table, and for events at a fixed cadence, such as hourly readings."""
    if look.contract.kind == "state":
        return True
    if look.event is None or look.rows < _LEAST_READINGS:
        return False
    gaps = np.diff(np.unique(look.event[~np.isnan(look.event)]))
    if len(gaps) < _LEAST_READINGS // 2:
        return False
    _, counts = np.unique(gaps, return_counts=True)
    return bool(counts.max() >= _CADENCE * len(gaps))


def runs(values: np.ndarray, starts: Bools) -> np.ndarray:
    """Return each row's position in its run of equal values, from 1; NaN ends a run."""
    with np.errstate(invalid="ignore"):
        new = starts.copy()
        new[1:] |= ~(values[1:] == values[:-1])
    at = np.arange(len(values))
    begun: np.ndarray = at - np.maximum.accumulate(np.where(new, at, 0)) + 1
    return begun


@once_a_batch
def run_marks(look: BatchView) -> dict[str, float]:
    """Return marks of repeated readings, {} for events without a fixed cadence.

    `run:COLUMN` is the length of the longest run of equal values, `same:COLUMN` the share of
    readings that equal the previous one, and `still:` the length of the longest run in which no
    measured column changes.
    """
    columns = measured(look)
    if not look.rows or not columns or not has_readings(look):
        return {}
    order, starts = ordered_rows(look)
    marks = {}
    together = starts.copy()
    for column in columns:
        values = column.values[order]
        marks[f"run:{column.name}"] = float(runs(values, starts).max())
        with np.errstate(invalid="ignore"):
            equal = (values[1:] == values[:-1]) & ~starts[1:]
            unchanged = equal | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        pairs = max(int((~np.isnan(values)).sum()), 1)
        marks[f"same:{column.name}"] = float((equal.sum() + 1) / (pairs + 2))
        together[1:] |= ~unchanged
    if len(columns) > 1:
        at = np.arange(look.rows)
        marks["still:"] = float((at - np.maximum.accumulate(np.where(together, at, 0)) + 1).max())
    return marks


@once_a_batch
def most_marks(look: BatchView) -> dict[str, float]:
    """Return for each measured column the share of rows with its most frequent reading."""
    marks = {}
    for column in measured(look):
        readings = column.values[~np.isnan(column.values)]
        if len(readings):
            _, counts = np.unique(readings, return_counts=True)
            marks[f"most:{column.name}"] = float(counts.max() / len(readings))
    return marks


_LEAST_READINGS = 12  # least rows of a batch of readings
_CADENCE = 0.8  # least share of the same interval between the times of readings
_LONGER = 1.7  # least length of a run, as a multiple of the longest, in events that are readings
_LEAST_RUN = 5
_BY_CHANCE = 2e-4  # report a run if a usual batch is expected to have fewer such runs than this
# Least number of rows of a run, and least share of them, that must break a relation.
_BROKEN, _TOGETHER_BROKEN = 5, 0.75


def _unlikely(case: DriftCase, mark: str, length: float) -> bool:
    """Return True if chance repetition, at the usual rate, hardly ever makes so long a run."""
    repetition = float(case.reference.marks(mark.replace("run:", "same:")).max())
    return bool(case.look.rows * repetition ** (length - 1) < _BY_CHANCE)


def frozen(case: DriftCase) -> Iterator[DriftFinding]:
    """Report sensors or whole stations that repeat their last reading or have only one value.

    Runs are examined only in state tables and in readings: an event has no last reading.
    """
    if case.reference.batches < LEAST_BATCHES:
        return
    yield from _constant(case)
    if not has_readings(case.look):
        return
    for mark, length in run_marks(case.look).items():
        earlier = case.reference.marks(mark)
        if len(earlier) < LEAST_BATCHES or length < _LEAST_RUN or mark.startswith("same:"):
            continue
        usual = float(earlier.max())
        if case.look.contract.kind != "state" and length < _LONGER * usual:
            continue
        if mark == "still:" and length >= usual + 3:
            names = tuple(c.name for c in measured(case.look))
            yield _frozen(names, "All measured columns together repeat", length, usual)
        elif mark.startswith("run:") and length > usual and _unlikely(case, mark, length):
            name = mark.removeprefix("run:")
            yield _frozen((name,), f"{name} repeats", length, usual)
    if case.look.contract.kind == "state":
        yield from _unrelated(case)


def _constant(case: DriftCase) -> Iterator[DriftFinding]:
    """Report columns whose readings are all equal in this batch but in no earlier one."""
    for mark, share in most_marks(case.look).items():
        earlier = case.reference.marks(mark)
        if len(earlier) < LEAST_BATCHES or share < 1:
            continue
        name, usual = mark.removeprefix("most:"), float(earlier.max())
        values = case.look.columns[name].values
        readings = values[~np.isnan(values)]
        if len(readings) * usual ** (len(readings) - 1) < _BY_CHANCE:
            value = float(readings[0]) / 10 ** (case.look.contract.field(name).scale or 0)
            sentence = (
                f"{name} is {value:g} in all {len(readings)} rows that have one; in the"
                f" batches before its most frequent value had at most {usual:.0%}."
            )
            evidence = {"rows": len(readings), "value": value, "usual": usual}
            yield DriftFinding("frozen", (name,), sentence, evidence, weight=float(len(readings)))


def _frozen(names: tuple[str, ...], words: str, length: float, usual: float) -> DriftFinding:
    sentence = (
        f"{words} one reading {length:.0f} times in a row; in the batches before, a reading came at"
        f" most {usual:.0f} {'time' if usual == 1 else 'times'} in a row."
    )
    evidence = {"run": int(length), "usual": int(usual)}
    return DriftFinding("frozen", names, sentence, evidence, weight=length)


def _unrelated(case: DriftCase) -> Iterator[DriftFinding]:
    """Report runs of one value in a column where most rows of the run break a declared relation."""
    look = case.look
    order, starts = ordered_rows(look)
    for relation in look.contract.relations:
        mark = f"relation:{relation.name}"
        if mark not in case.excess:
            continue
        broken = case.fit.misfit[mark][order]
        for column in measured(look):
            if column.name not in look.rule_inputs[relation.name]:
                continue
            run = runs(column.values[order], starts)
            length = _length_of_runs(run)
            inside = broken & (length >= _LEAST_RUN)
            best = int(np.argmax(length * inside))
            block = _block(run, best)
            rows_broken = int(broken[block].sum())
            together = rows_broken >= max(_BROKEN, _TOGETHER_BROKEN * (block.stop - block.start))
            if inside.any() and together:
                count = int(length[best])
                sentence = (
                    f"{column.name} repeats one reading {count} times in a row while"
                    f" {int(broken[block].sum())} of these rows break {relation.name}:"
                    f" {relation.description}"
                )
                lines = tuple(look.lines[order][block].tolist())
                evidence = {"run": count, "relation": relation.name}
                yield DriftFinding(
                    "frozen", (column.name,), sentence, evidence, lines, float(broken[block].sum())
                )


def _length_of_runs(run: np.ndarray) -> np.ndarray:
    """Return for each row the total length of its run."""
    ends = np.flatnonzero(np.concatenate([run[1:] == 1, [True]]))
    lengths: np.ndarray = np.repeat(run[ends], run[ends])
    return lengths


def _block(run: np.ndarray, at: int) -> slice:
    start = at - int(run[at]) + 1
    end = at + 1
    while end < len(run) and run[end] > 1:
        end += 1
    return slice(start, end)
