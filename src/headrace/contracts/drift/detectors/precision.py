"""Detectors for columns that became null and times that lost precision."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.batch_view import BatchView, Floats, once_a_batch
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import GRAINS, levels_of, share_finer


def nulls(case: DriftCase) -> Iterator[DriftFinding]:
    look = case.look
    for name, column in look.columns.items():
        mark = f"present:{name}"
        usual = case.reference.marks(mark)
        now = 1 - float(column.present.mean()) if look.rows else 0.0
        before = look.rows * len(usual)
        greatest = 1 - float(usual.min()) if len(usual) else 1.0
        if len(usual) < LEAST_BATCHES or not _more_nulls(now, greatest, (look.rows, before)):
            continue
        sentence = (
            f"{now:.1%} of {name} is null; in the batches before it was at most"
            f" {1 - usual.min():.1%}."
        )
        evidence = {"share": now, "usual": float(1 - usual.min())}
        yield DriftFinding("nulls", (name,), sentence, evidence, weight=now * look.rows)


_MORE_NULLS = 0.15  # least growth of the share of nulls over the window's greatest
_RARE = 0.02  # share of nulls in an earlier batch above which nulls are usual
_ALL = 0.95  # least share of nulls for a finding where they are usual
_SURE = 4.0  # least growth, in standard errors of a share


def _more_nulls(now: float, usual: float, counts: tuple[int, int]) -> bool:
    """Return True if nulls at the greatest usual rate hardly ever make this share of the rows.

    `counts` are the rows of the batch and of the batches before. Where there were no nulls, the
    rate is less than one in the latter.
    """
    rows, past_rows = counts
    rate = max(usual, 1 / max(past_rows, 1))
    error = float(np.sqrt(rate * (1 - rate) / max(rows, 1)))
    if usual > _RARE:  # nulls have their causes, such as cancelled flights, which may accumulate
        return now >= _ALL and usual <= _ALL / 2
    return now * rows >= 2 and now - usual >= max(_MORE_NULLS, _SURE * error)


_GRAINS = {
    "clock": (60.0, 30.0, 15.0, 5.0),
    "moment": (86_400e6, 3_600e6, 60e6, 1e6, 1e3),
    "number": GRAINS,
}
_ROUNDED = 0.9  # share of earlier values that round to the only value of a batch
_FINE = 0.2  # least share of values finer than the grain in every earlier batch
_CONSTANT = 0.9  # usual share of one value from which a batch has a single independent value
_CHANCE = 1e-4  # probability above which coarse values are by chance
_LEAST_ROWS = 5


@once_a_batch
def fine_marks(look: BatchView) -> dict[str, float]:
    """Return per column and grain the share of values that are not multiples of the grain."""
    shares = {}
    for name, kind, values in _measured(look):
        for grain in _GRAINS[kind]:
            share = share_finer(values, grain)
            if share > 0:
                shares[f"fine:{name}:{grain:g}"] = share
    return shares


def _measured(look: BatchView) -> Iterator[tuple[str, str, Floats]]:
    """Yield (name, kind, values in their unit) of numbers and times, and of event times as "".

    Event times may be derived from texts.
    """
    aside = {*look.contract.primary_key, *time_inputs(look)}  # of numbers, not of times
    for column in look.columns.values():
        if column.kind == "number" and column.name in aside:
            continue
        values = column.values[column.present]
        if len(values) >= _LEAST_ROWS and column.kind in _GRAINS:
            unit = 10.0 ** (look.contract.field(column.name).scale or 0)
            yield column.name, column.kind, values / unit
    if look.event is not None and int((~np.isnan(look.event)).sum()) >= _LEAST_ROWS:
        yield "", "moment", look.event[~np.isnan(look.event)]


def precision_changes(case: DriftCase) -> Iterator[DriftFinding]:
    """Report values that became coarser, if they are otherwise where they used to be."""
    now = fine_marks(case.look)
    for name, kind, values in _measured(case.look):
        for grain in _GRAINS[kind]:
            mark = f"fine:{name}:{grain:g}"
            earlier = case.reference.marks(mark)
            if len(earlier) < LEAST_BATCHES or len(earlier) < case.reference.batches:
                continue
            if mark in now or earlier.min() < _FINE or name in case.calendar:
                continue
            if _is_by_chance(case, name, values, float(np.quantile(earlier, 0.25))):
                continue
            if kind != "number" or _is_in_place(case, name, values, grain):
                yield _coarser(case, name, (kind, grain), (len(values), float(earlier.min())))
            break


def _is_by_chance(case: DriftCase, name: str, values: Floats, finer: float) -> bool:
    """Return True if values of a batch may all be coarse without having been rounded.

    `finer` is a low share of finer values in earlier batches, not the least: that is of few rows.
    """
    if not name:
        return False
    constancy = case.reference.marks(f"most:{name}")
    is_constant = bool(len(constancy)) and float(np.median(constancy)) >= _CONSTANT
    independent = 1 if is_constant else len(values)
    coarse = max(1 - finer, 1 / (1 + independent * case.reference.batches))
    return bool(coarse**independent > _CHANCE)


def _is_in_place(case: DriftCase, name: str, values: Floats, grain: float) -> bool:
    """Return True if rounding alone can have moved the column's levels to where they are.

    If all values are equal, all earlier values must round to that one.
    """
    unit = 10.0 ** (case.look.contract.field(name).scale or 0)
    if (values == values[0]).all():
        pool = case.reference.pools[name]
        near = np.abs(pool.values / unit - values[0]) <= grain / 2
        return bool(values[0] != 0 and pool.counts[near].sum() >= _ROUNDED * pool.total)
    for kind, level in zip(("low", "middle", "high"), levels_of(values), strict=True):
        past = case.reference.marks(f"{kind}:{name}") / unit
        if len(past) and not past.min() - grain / 2 <= level <= past.max() + grain / 2:
            return False
    return True


def _coarser(
    case: DriftCase, name: str, form: tuple[str, float], counts: tuple[int, float]
) -> DriftFinding:
    (kind, grain), (rows, usual) = form, counts
    unit = {"clock": " minutes", "moment": " microseconds"}.get(kind, "")
    sentence = (
        f"Every value of {name or 'the event time'} is a multiple of {grain:g}{unit}; in every"
        f" batch before at least {usual:.0%} were finer."
    )
    change = "precision" if kind == "number" else "timestamp_precision"
    names = (name,) if name else tuple(sorted(time_inputs(case.look)))
    # Outweighs a constant column: rounded to tens, many columns are.
    return DriftFinding(change, names, sentence, {"grain": grain}, weight=rows + 0.5)
