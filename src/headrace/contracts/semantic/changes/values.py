"""Values that stand for something else: sentinels, stuck sensors, nulls, lost precision."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.semantic.findings import Finding
from headrace.contracts.semantic.fit import LEAST_BATCHES, member, out_of_range
from headrace.contracts.semantic.look import Bools, Column, Look
from headrace.contracts.semantic.trial import Case

SENTINELS = frozenset(
    [sign * float("9" * digits) for digits in range(1, 10) for sign in (1, -1)]
    + [sign * (float("9" * digits) + part) for digits in (2, 3, 4) for sign in (1, -1)
       for part in (0.9, 0.99, 0.999)]
    + [-1.0, 255.0, 32767.0, -32768.0, 65535.0, 2147483647.0, -2147483648.0, 1e20, 1e30, -1e30]
)  # fmt: skip
_SENTINEL_VALUES = np.array(sorted(SENTINELS))
WORDS = frozenset(
    {"", "na", "n/a", "#n/a", "null", "none", "nil", "nan", "unknown", "unk", "undefined",
     "missing", "not available", "tbd", "-", "--", "?", "x", "xx", "xxx", "zzz", "test", "-999",
     "999", "9999", "-1"}
)  # fmt: skip
_MOST_SENTINELS = 0.3  # of the rows; more is another change
_GAIN = 0.5  # rows, at least, that fit better without it
_TOGETHER = 3  # rows that share a value inside the usual range, before it stands for nothing


def sentinels(case: Case) -> Iterator[Finding]:
    for field in case.look.contract.delivered:
        column = case.look.columns.get(field.name)
        pool = case.reference.pools.get(field.name)
        if column is None or pool is None or not pool.total:
            continue
        fresh = column.present & ~member(column, pool)
        if fresh.any():
            yield from _of_column(case, column, fresh)
        if field.max_abs is not None:
            yield from _too_great(case, column)


def _too_great(case: Case, column: Column) -> Iterator[Finding]:
    """Values that the contract's greatest one refused, so that they are null by now."""
    text = case.text.get(column.name)
    if text is None:
        return
    refused = pc.and_(text.is_valid(), pc.invert(pa.array(column.present)))
    for value in pc.unique(text.filter(refused)).to_pylist():
        rows = np.asarray(pc.and_(refused, pc.equal(text, value)).fill_null(False))
        if _number(value) in SENTINELS and rows.mean() < _MOST_SENTINELS:
            yield _stands_for_nothing(case, column, value, rows, float(rows.sum()))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _stands_for_nothing(
    case: Case, column: Column, shown: str, rows: Bools, weight: float
) -> Finding:
    count = int(rows.sum())
    sentence = (
        f"{count} rows have {shown} in {column.name}, which no batch before had and which"
        " usually stands for a value that is not known."
    )
    evidence = {"value": shown, "rows": count}
    lines = tuple(case.look.lines[rows].tolist())
    return Finding("sentinel", (column.name,), sentence, evidence, lines, weight)


def _of_column(case: Case, column: Column, fresh: Bools) -> Iterator[Finding]:
    values = _as_given(case, column) if column.is_number else column.tokens
    for value in _suspicious(column, np.unique(values[fresh])):
        rows = fresh & (values == value)
        shown = _sentinel(case, column, value, rows)
        if shown is None or rows.mean() > _MOST_SENTINELS:
            continue
        gain = _gain(case, column, rows)
        if gain >= _GAIN:
            yield _stands_for_nothing(case, column, shown, rows, gain)


def _gain(case: Case, column: Column, rows: Bools) -> float:
    """The rows that fit better without the value; all of them if nothing like it ever came."""
    pool = case.reference.pools[column.name]
    if not column.is_number:
        return 2 * case.loss([column.name]) + float(rows.sum())
    if out_of_range(column, pool)[rows].all():
        return float(rows.sum())
    array = case.look.arrays[column.name]
    nulled = pc.if_else(pa.array(rows), pa.scalar(None, array.type), array)
    return case.try_out({column.name: nulled}).gain


def _as_given(case: Case, column: Column) -> np.ndarray:
    """Numbers in their unit, clocks as HHMM; NaN of moments, which have no sentinels."""
    if column.kind == "moment":
        return np.full(case.look.rows, np.nan)
    array = case.look.arrays[column.name].cast(pa.float64())
    unit = 10 ** (case.look.contract.field(column.name).scale or 0)
    given: np.ndarray = array.to_numpy(zero_copy_only=False) / unit
    return given


def _suspicious(column: Column, values: np.ndarray) -> np.ndarray:
    """Of numbers those that may stand for nothing; texts are looked up one by one."""
    if column.kind == "text":
        return values
    found: np.ndarray = values[np.isin(values, _SENTINEL_VALUES)]
    return found


def _sentinel(case: Case, column: Column, value: float, rows: Bools) -> str | None:
    """The value as text if it is one that stands for nothing."""
    if not column.is_number:
        text = case.look.names.get(int(value), "")
        return repr(text) if text.strip().lower() in WORDS else None
    out = bool(out_of_range(column, case.reference.pools[column.name])[rows].all())
    return f"{value:g}" if out or int(rows.sum()) >= _TOGETHER else None


# stuck


def measured(look: Look) -> list[Column]:
    """Numbers that are measured: neither keys nor parts of the time."""
    from headrace.contracts.semantic.fit import time_inputs

    aside = {*look.contract.primary_key, *time_inputs(look)}
    zoned = {f.name for f in look.contract.delivered if f.zone}
    return [
        c
        for c in look.columns.values()
        if c.kind == "number" and c.name not in aside and c.name not in zoned
    ]


def ordered_rows(look: Look) -> tuple[np.ndarray, Bools]:
    """(rows by entity and time, where a new entity starts); one entity where there are too many."""
    texts = [look.columns[n] for n in look.contract.primary_key if look.columns[n].kind == "text"]
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


def runs(values: np.ndarray, starts: Bools) -> np.ndarray:
    """For each row how many rows in a row have its value up to it; NaN never continues."""
    with np.errstate(invalid="ignore"):
        new = starts.copy()
        new[1:] |= ~(values[1:] == values[:-1])
    at = np.arange(len(values))
    begun: np.ndarray = at - np.maximum.accumulate(np.where(new, at, 0)) + 1
    return begun


def run_marks(look: Look) -> dict[str, float]:
    """The longest runs of equal values, by measured column and of all of them together."""
    columns = measured(look)
    if not look.rows or not columns or look.contract.kind != "state":
        return {}
    order, starts = ordered_rows(look)
    found = {}
    together = starts.copy()
    moving = 0
    for column in columns:
        values = column.values[order]
        found[f"run:{column.name}"] = float(runs(values, starts).max())
        with np.errstate(invalid="ignore"):
            equal = (values[1:] == values[:-1]) & ~starts[1:]
            same = equal | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        pairs = max(int((~np.isnan(values)).sum()), 1)
        found[f"same:{column.name}"] = float((equal.sum() + 1) / (pairs + 2))
        together[1:] |= ~same
        moving += 1
    if moving > 1:
        at = np.arange(look.rows)
        found["still:"] = float((at - np.maximum.accumulate(np.where(together, at, 0)) + 1).max())
    return found


_LEAST_RUN = 5
_BY_CHANCE = 2e-4  # runs so long that a usual batch may be expected to have
_BROKEN, _TOGETHER_BROKEN = 5, 0.75  # rows of a run that break a relation, and their share of it


def _unlikely(case: Case, mark: str, length: float) -> bool:
    """If readings repeat as independently as they did, a run so long hardly ever occurs."""
    same = float(case.reference.marks(mark.replace("run:", "same:")).max())
    return bool(case.look.rows * same ** (length - 1) < _BY_CHANCE)


def frozen(case: Case) -> Iterator[Finding]:
    """A sensor, or a whole station, that repeats its last reading.

    Only in tables of states: what happens once has no last reading.
    """
    if case.reference.batches < LEAST_BATCHES or case.look.contract.kind != "state":
        return
    for mark, length in run_marks(case.look).items():
        earlier = case.reference.marks(mark)
        if len(earlier) < LEAST_BATCHES or length < _LEAST_RUN or mark.startswith("same:"):
            continue
        usual = float(earlier.max())
        if mark == "still:" and length >= usual + 3:
            names = tuple(c.name for c in measured(case.look))
            yield _frozen(names, "all measured columns together repeat", length, usual)
        elif mark.startswith("run:") and length > usual and _unlikely(case, mark, length):
            name = mark.removeprefix("run:")
            yield _frozen((name,), f"{name} repeats", length, usual)
    yield from _unrelated(case)


def _frozen(names: tuple[str, ...], words: str, length: float, usual: float) -> Finding:
    sentence = (
        f"{words[0].upper()}{words[1:]} one reading {length:.0f} times in a row; in the batches"
        f" before it was at most {usual:.0f} times."
    )
    evidence = {"run": int(length), "usual": int(usual)}
    return Finding("frozen", names, sentence, evidence, weight=length)


def _unrelated(case: Case) -> Iterator[Finding]:
    """Rows that break a relation, all of them within a run of one value of one of its columns."""
    look = case.look
    order, starts = ordered_rows(look)
    for relation in look.contract.relations:
        mark = f"relation:{relation.name}"
        if mark not in case.lost:
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
                yield Finding(
                    "frozen", (column.name,), sentence, evidence, lines, float(broken[block].sum())
                )


def _length_of_runs(run: np.ndarray) -> np.ndarray:
    """For each row the whole length of the run it is in."""
    ends = np.flatnonzero(np.concatenate([run[1:] == 1, [True]]))
    lengths: np.ndarray = np.repeat(run[ends], run[ends])
    return lengths


def _block(run: np.ndarray, at: int) -> slice:
    start = at - int(run[at]) + 1
    end = at + 1
    while end < len(run) and run[end] > 1:
        end += 1
    return slice(start, end)


# nulls and precision


def nulls(case: Case) -> Iterator[Finding]:
    look = case.look
    for name, column in look.columns.items():
        mark = f"present:{name}"
        usual = case.reference.marks(mark)
        now = 1 - float(column.present.mean()) if look.rows else 0.0
        if now < _GONE or len(usual) < LEAST_BATCHES or 1 - usual.min() > _GONE / 2:
            continue
        sentence = (
            f"{now:.1%} of {name} is null; in the batches before it was at most"
            f" {1 - usual.min():.1%}."
        )
        evidence = {"share": now, "usual": float(1 - usual.min())}
        yield Finding("nulls", (name,), sentence, evidence, weight=now * look.rows)


_GONE = 0.95  # of a column is null: it is not there any more
_GRAINS = {"clock": (60.0, 30.0, 15.0, 5.0), "moment": (86_400e6, 3_600e6, 60e6, 1e6, 1e3)}
_FINE = 0.2  # the share that was finer in every batch before
_LEAST_ROWS = 12


def fine_marks(look: Look) -> dict[str, float]:
    """By column and grain: the share of values that are no multiple of it."""
    found = {}
    for column in look.columns.values():
        values = column.values[column.present]
        if len(values) < _LEAST_ROWS or column.kind not in _GRAINS:
            continue
        for grain in _GRAINS[column.kind]:
            parts = values / grain
            share = float((np.abs(parts - np.rint(parts)) > 1e-6).mean())
            if share > 0:
                found[f"fine:{column.name}:{grain:g}"] = share
    return found


def precision_changes(case: Case) -> Iterator[Finding]:
    now = fine_marks(case.look)
    for column in case.look.columns.values():
        if int(column.present.sum()) < _LEAST_ROWS or column.kind not in _GRAINS:
            continue
        for grain in _GRAINS[column.kind]:
            mark = f"fine:{column.name}:{grain:g}"
            earlier = case.reference.marks(mark)
            if len(earlier) < LEAST_BATCHES or len(earlier) < case.reference.batches:
                continue
            if mark not in now and earlier.min() >= _FINE:
                yield _coarser(column, grain, float(earlier.min()))
                break


def _coarser(column: Column, grain: float, usual: float) -> Finding:
    unit = {"clock": "minutes", "moment": "microseconds"}.get(column.kind, "")
    sentence = (
        f"Every value of {column.name} is a multiple of {grain:g} {unit}".rstrip()
        + f"; in every batch before at least {usual:.0%} were finer."
    )
    kind = "timestamp_precision"
    weight = float(column.present.sum())
    return Finding(kind, (column.name,), sentence, {"grain": grain}, weight=weight)
