"""Detectors for the wrong delivery: rows of another period, keys of another range."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.batch_view import HOUR, Floats
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import LEAST_PAST, counters

_DAY = 24 * HOUR
_OUTSIDE = 0.9  # least share of rows outside the usual hours of their partition
_INSIDE = 0.9  # least share of rows inside them after whole days are taken back
_RISING = 0.9  # least share of batches in which a counter went on from the batch before
_JUMP = 20.0  # least jump of a counter, as a multiple of its greatest step in the window


def wrong_period(case: DriftCase) -> Iterator[DriftFinding]:
    """Report rows that lie in their usual hours only after they are shifted by whole days."""
    look = case.look
    for what, moments in (("event", look.event), ("known", look.known_at)):
        if moments is None or look.start is None or not look.rows:
            continue
        hours = np.array(sorted(case.reference.hours(what).batches), np.float64)
        if not len(hours) or case.reference.batches < LEAST_BATCHES:
            continue
        at = moments - look.start
        inside = np.isin(np.floor(at / HOUR), hours)
        days = int(np.floor(np.nanmedian(at) / _DAY)) if not np.isnan(at).all() else 0
        corrected = np.isin(np.floor((at - days * _DAY) / HOUR), hours)
        if days and 1 - inside.mean() >= _OUTSIDE and corrected.mean() >= _INSIDE:
            direction = "later" if days > 0 else "earlier"
            sentence = (
                f"{1 - inside.mean():.0%} of the rows belong to another period: their {what} times"
                f" are {abs(days)} days {direction} than the partition."
            )
            names = tuple(sorted(time_inputs(look)))
            yield DriftFinding(
                "wrong_period", names, sentence, {"days": days, "by": what}, weight=2.0 * look.rows
            )
            return


def key_shifts(case: DriftCase) -> Iterator[DriftFinding]:
    """Report a counter in the key that jumps away from where earlier batches left off."""
    for column in counters(case.look):
        past = case.reference.marks(f"key:{column.name}")
        if len(past) < LEAST_PAST or (np.diff(past) > 0).mean() < _RISING:
            continue
        step = float(np.abs(np.diff(past)).max())
        now = float(np.median(column.values[column.present]))
        jump = now - float(past[-1])
        reach = max(_JUMP * step, 2.0 * float(np.ptp(past)), 10.0 * _width(column.values))
        if abs(jump) <= reach or abs(now - float(np.median(past))) <= reach:
            continue
        sentence = (
            f"{column.name} jumped by {jump:.0f} from the batch before to this one; between two"
            f" batches before it moved by at most {step:.0f}."
        )
        evidence = {"jump": jump, "usual": step}
        yield DriftFinding(
            "key_shift", (column.name,), sentence, evidence, weight=float(case.look.rows)
        )


def _width(values: Floats) -> float:
    low, high = np.nanquantile(values, (0.1, 0.9))
    return float(high - low)
