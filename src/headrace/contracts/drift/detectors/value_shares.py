"""Detector for numbers that repeat one value: a placeholder, a limit, or a stuck reading."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.baseline import Baseline, Pool
from headrace.contracts.drift.batch_view import Bools, Floats, ViewColumn
from headrace.contracts.drift.detectors.sentinels import SENTINELS
from headrace.contracts.drift.detectors.stuck_readings import measured
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, out_of_range
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.profile import coarse
from headrace.contracts.drift.statistics import LEAST_ROWS, chance_of

_GROWTH = 0.12  # least growth of a value's share over its greatest share in the window
_REST_SHARE = 0.5  # least share of the other values that must be usual
_STUCK = 0.9  # least share of a repeated value that is neither a placeholder nor a limit, in events
_ONE_VALUE = 0.99  # least share of one value in a batch of which a column has only one
_RUN = 0.8  # share of a value's rows that follow on each other, if a reading is stuck
_FEW_ROWS = 12  # values of a small batch, in which zeros are judged by where values used to be
_MANY = 20  # distinct earlier values from which a run of equal ones is no coincidence
_ENOUGH, _FEW_ZEROS = 100, 2  # least earlier values, and least zeros, in a small batch
_NEAR = 0.1  # smallest magnitude, as a share of the median, of a quantity never near zero
_STEPS = 5.0  # smallest magnitude, in least differences between values, for the same
_SURE = 4.0  # least growth, in standard errors of a share
_NEXT_TO = 0.1  # distance from earlier values, as a share of their range, that is next to them
_CHANCE = 5e-4  # probability above which a few equal values are by chance
_BEYOND = 0.1  # share of earlier values beyond a limit from which cutting them off is noticed


def value_shares(case: DriftCase) -> Iterator[DriftFinding]:
    """Report a value whose share grew beyond that in all earlier batches."""
    if case.reference.batches < LEAST_BATCHES:
        return
    for column in measured(case.look):
        values = column.values[column.present]
        if len(values) < _FEW_ROWS:
            yield from _zeros_of_few(case, column, values)
        if len(values) < LEAST_ROWS:
            continue
        constancy = case.reference.marks(f"most:{column.name}")
        if not len(constancy) or constancy.min() >= _ONE_VALUE:
            continue  # a column with another single value in each batch
        distinct, counts = np.unique(values, return_counts=True)
        candidates = [float(v) for v in (distinct[counts.argmax()], 0, distinct[-1], distinct[0])]
        for value in dict.fromkeys(candidates):
            share = float((values == value).mean())
            usual = _greatest_share(case.reference, column.name, value)
            greatest = max(usual, _greatest_of_others(case, column, value, constancy))
            rate = max(greatest, 1 / (len(values) * len(constancy)))
            error = np.sqrt(rate * (1 - rate) / len(values))
            if share - greatest < max(_GROWTH, _SURE * error):
                continue
            count = int((values == value).sum())
            if len(values) < _FEW_ROWS and chance_of(count, len(values), rate) > _CHANCE:
                continue
            if _others_are_usual(column, value, case.reference.pools[column.name].values):
                yield _repeated(case, column, value, share, usual)
                break


def _zeros_of_few(case: DriftCase, column: ViewColumn, values: Floats) -> Iterator[DriftFinding]:
    """Report a small batch of zeros in a column that was always far from zero."""
    pool = case.reference.pools[column.name]
    is_far = pool.total >= _ENOUGH and (pool.values[0] > 0 or pool.values[-1] < 0)
    rows = column.present & (column.values == 0)
    sizes = np.abs(pool.values)
    # Of the numbers 1, 2 and 3, zero is the next one.
    step = float(np.diff(pool.values).min(initial=np.inf))
    never_near = float(sizes.min()) > max(_NEAR * float(np.median(sizes)), _STEPS * step)
    minimum = 1 if never_near else _FEW_ZEROS
    if is_far and rows.sum() >= minimum and out_of_range(column, pool)[rows].all():
        yield _repeated(case, column, 0.0, float(rows.sum() / len(values)), 0.0)


def _greatest_of_others(
    case: DriftCase, column: ViewColumn, value: float, constancy: Floats
) -> float:
    """Return the greatest share in an earlier batch of any value in the place of this one.

    A placeholder must itself have had its share; zero is one unless the column has values on both
    sides of it. A limit is compared with the greatest and the
    smallest values of earlier batches, another reading with their most frequent ones.
    """
    pool = case.reference.pools[column.name]
    if value == 0 and not _is_among(pool, 0.0):
        return 0.0
    edges = {"roof": np.nanmax(column.values), "floor": np.nanmin(column.values)}
    for kind, edge in edges.items():
        past = case.reference.marks(f"{kind}:{column.name}")
        if value == edge and len(past) and _cuts(case, column.name, value, kind):
            return float(past.max())
    return float(constancy.max())


def _is_among(pool: Pool, value: float) -> bool:
    """Return True if a value lies among earlier values, or next to them, as the season goes on."""
    low, high = float(pool.values[0]), float(pool.values[-1])
    room = _NEXT_TO * (high - low)
    return low - room < value < high + room and (low < 0 or high <= 0)


def _cuts(case: DriftCase, name: str, value: float, kind: str) -> bool:
    """Return True if enough earlier values lie beyond this one."""
    pool = case.reference.pools[name]
    beyond = pool.values > value if kind == "roof" else pool.values < value
    return bool(pool.counts[beyond].sum() >= _BEYOND * pool.total)


def _others_are_usual(column: ViewColumn, value: float, past_values: np.ndarray) -> bool:
    """Return True if the values besides this one lie where they used to.

    If they do not, the column as a whole changed, for example its unit.
    """
    rest = column.values[column.present & (column.values != value)]
    if not len(rest):
        return True
    low, high = np.quantile(past_values, (0.02, 0.98))
    return float(((rest >= low) & (rest <= high)).mean()) >= _REST_SHARE


def _greatest_share(reference: Baseline, name: str, value: float) -> float:
    """Return the greatest share of a value, as profiles count it, in an earlier batch."""
    greatest = 0.0
    for profile in reference.window:
        summary = profile.columns.get(name)
        if summary is None or not len(summary.values):
            continue
        stored = float(coarse(np.array([value]))[0]) if summary.coarse else value
        place = int(np.searchsorted(summary.values, stored))
        if place < len(summary.values) and summary.values[place] == stored:
            greatest = max(greatest, float(summary.counts[place] / summary.counts.sum()))
    return greatest


def _repeated(
    case: DriftCase, column: ViewColumn, value: float, share: float, usual: float
) -> DriftFinding:
    rows = column.present & (column.values == value)
    number = value / 10 ** (case.look.contract.field(column.name).scale or 0)
    kind, words = _kind_of(case, column, value, number)
    if kind == "frozen" and share < _STUCK and not _is_run(case, column, rows):
        kind = "unusual"  # many equal events, such as the bookings of a group, do occur
    sentence = (
        f"{column.name} {words} {number:g} in {share:.0%} of the rows that have a value; in the"
        f" batches before it was at most {usual:.0%}."
    )
    evidence = {"value": number, "share": share, "usual": usual, "rows": int(rows.sum())}
    lines = tuple(case.look.lines[rows].tolist())
    # Readings cut off at a limit look stuck as well.
    weight = float(rows.sum()) + (0.5 if kind == "clipped" else 0.0)
    return DriftFinding(kind, (column.name,), sentence, evidence, lines, weight)


def _is_run(case: DriftCase, column: ViewColumn, rows: Bools) -> bool:
    """Return True if the rows follow on each other, in a column of many values."""
    at = np.flatnonzero(rows)
    longest = max(len(run) for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1))
    distinct = len(case.reference.pools[column.name].values)
    return longest >= _RUN * len(at) and distinct >= _MANY


def _kind_of(case: DriftCase, column: ViewColumn, value: float, number: float) -> tuple[str, str]:
    values = column.values[column.present]
    if number == 0 or number in SENTINELS:
        return "sentinel", "has the placeholder"
    for kind, edge in (("roof", values.max()), ("floor", values.min())):
        is_edge = value == edge and values.min() < values.max()
        if is_edge and _cuts(case, column.name, value, kind):
            return "clipped", "is cut off at"
    return "frozen", "repeats the reading"
