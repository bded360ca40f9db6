"""Width of limits: chosen on the first part of history, confirmed on the rest.

A margin is a multiple of the observed range. In the first part each day is compared with limits
from the days before it, and the smallest margin under which no day fails is chosen. The remaining
days, which had no part in the choice, then show how often such limits would have been wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MARGINS = (0.1, 0.25, 0.5, 1.0, 2.0)
FIRST_PART = 0.6
FEWEST = 10  # deliveries that history needs to confirm anything
_BEFORE = 5  # least number of days from which limits are drawn


@dataclass(frozen=True)
class Range:
    """Range of a checked figure in each delivery, from `low` to `high`; NaN if there are no values.

    A margin is a multiple of the observed range, but at least of the share `least_spread` of the
    greatest value. `counts` have at least the random variation of counts; `integral` limits are
    whole numbers.
    """

    low: Floats
    high: Floats
    least_spread: float = 0.2
    counts: bool = False
    integral: bool = False

    def part(self, first: int, last: int) -> "Range":
        low, high = self.low[first:last], self.high[first:last]
        return Range(low, high, self.least_spread, self.counts, self.integral)

    @property
    def has_values(self) -> bool:
        return bool((~np.isnan(self.low)).any())

    def limits(self, margin: float) -> tuple[float, float]:
        """Return the observed range with `margin` times its width on either side, rounded out."""
        low, high = float(np.nanmin(self.low)), float(np.nanmax(self.high))
        size = max(abs(low), abs(high))
        spread = max(high - low, self.least_spread * size)
        if self.counts:
            spread = max(spread, 3 * math.sqrt(size))
        lower = low - margin * spread
        if low >= 0:
            lower = max(0.0, lower)
        return self._outwards(lower, -1), self._outwards(high + margin * spread, 1)

    def _outwards(self, value: float, sign: int) -> float:
        """Round to three digits, and integral values to whole numbers, away from the range."""
        if value == 0 or not math.isfinite(value):
            return value
        step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
        step = max(step, 1.0) if self.integral else step
        if step == 0:  # of denormal numbers
            return value
        rounded = (math.ceil if sign > 0 else math.floor)(value / step) * step
        return float(f"{rounded:.12g}")

    def failing(self, low: float, high: float) -> list[int]:
        """Return the places of the deliveries outside limits."""
        outside = (self.low < low) | (self.high > high)  # NaN is neither
        return [int(place) for place in np.flatnonzero(outside)]


@dataclass(frozen=True)
class Confirmed:
    """Record of a check on past deliveries.

    Attributes:
        deliveries: number of deliveries that its limits were drawn from.
        chosen_on: deliveries on which the margin was chosen; 0 if history is too short.
        confirmed_on: later deliveries on which it was tested.
        failed: places of the later deliveries that it would have failed.
        margin: multiples of the range; None if there is nothing to choose.
        steady: False if every margin would have failed on the first part.
    """

    deliveries: int
    chosen_on: int = 0
    confirmed_on: int = 0
    failed: tuple[int, ...] = ()
    margin: float | None = None
    steady: bool = True

    @property
    def is_confirmed(self) -> bool:
        return self.steady and not self.failed

    def document(self, slots: Sequence[str]) -> dict[str, Any]:
        return {
            "seen": self.deliveries,
            "chosen_on": self.chosen_on,
            "confirmed_on": self.confirmed_on,
            "failed": len(self.failed),
            "failed_slots": [slots[place] for place in self.failed],
            "margin": self.margin,
        }


def first_part(count: int) -> int:
    """Return the number of deliveries on which margins are chosen; all if there are few."""
    return count if count < FEWEST else round(FIRST_PART * count)


def confirm(observed: Range, count: int, min_margin: float) -> Confirmed:
    """Choose the margin for a range, at least `min_margin`, and test it on later days."""
    cut = first_part(count)
    margins = [margin for margin in MARGINS if margin >= min_margin]
    if cut == count:
        return Confirmed(count, margin=max(min_margin, 0.5))
    first = observed.part(0, cut)
    if not first.has_values:
        return Confirmed(count, cut, count - cut, steady=False)
    margin = next((m for m in margins if _is_steady(first, cut, m)), None)
    low, high = first.limits(margins[-1] if margin is None else margin)
    failed = tuple(cut + place for place in observed.part(cut, count).failing(low, high))
    return Confirmed(count, cut, count - cut, failed, margin, steady=margin is not None)


def _is_steady(observed: Range, count: int, margin: float) -> bool:
    """Return True if no day fails limits from the days before it."""
    for day in range(max(_BEFORE, count // 3), count):
        before = observed.part(0, day)
        if before.has_values and observed.part(day, day + 1).failing(*before.limits(margin)):
            return False
    return True


def confirm_never(wrong: Sequence[bool]) -> Confirmed:
    """Return the record of a check that must never fail."""
    count, cut = len(wrong), first_part(len(wrong))
    failed = tuple(place for place in range(cut, count) if wrong[place])
    return Confirmed(
        count, cut if cut < count else 0, count - cut, failed, steady=not any(wrong[:cut])
    )


def confirm_levels(levels: Sequence[frozenset[str]]) -> Confirmed:
    """Return the record of a set of levels: later days fail that have a level not in it."""
    count, cut = len(levels), first_part(len(levels))
    first_levels = frozenset().union(*levels[:cut])
    failed = tuple(place for place in range(cut, count) if not levels[place] <= first_levels)
    return Confirmed(count, cut if cut < count else 0, count - cut, failed)
