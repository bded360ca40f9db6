"""Width of drafted limits: chosen on the first part of history, tested on the rest.

Limits are the observed range plus a margin, which is a multiple of that range. In the first part of
history, each delivery is compared with limits from the deliveries before it; the smallest margin
under which none fails is chosen. The remaining deliveries, which had no influence on the choice,
then show how often such limits would have been wrong.
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
FEWEST = 10  # with fewer deliveries, limits cannot be tested
_BEFORE = 5  # smallest number of deliveries from which limits are drawn


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of a checked figure in each delivery; NaN if there are no values.

    The margin is a multiple of the observed range. For this purpose the range is at least the
    greatest absolute value times `least_spread` and, for `counts`, at least three times the square
    root of the greatest count. `integral` limits are whole numbers.
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
        """Return the observed range widened by `margin` times its width on each side.

        Limits are rounded outwards; if no value was negative, the lower limit is at least 0.
        """
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
        """Round outwards to three significant digits, or to a whole number if `integral`."""
        if value == 0 or not math.isfinite(value):
            return value
        step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
        step = max(step, 1.0) if self.integral else step
        if step == 0:  # the value is denormal
            return value
        rounded = (math.ceil if sign > 0 else math.floor)(value / step) * step
        return float(f"{rounded:.12g}")

    def failing(self, low: float, high: float) -> list[int]:
        """Return the positions of the deliveries that are outside the limits."""
        outside = (self.low < low) | (self.high > high)  # NaN, no values, is never outside
        return [int(place) for place in np.flatnonzero(outside)]


@dataclass(frozen=True)
class Confirmed:
    """Record of a check on past deliveries.

    Attributes:
        deliveries: number of deliveries in the history.
        chosen_on: number of deliveries on which the margin was chosen; 0 if history is too short.
        confirmed_on: number of later deliveries on which the check was tested.
        failed: positions of the later deliveries that would have failed the check.
        margin: chosen margin in multiples of the range; None if there is no margin to choose.
        steady: False if the check fails on the first part of history with every margin.
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
    """Return the number of deliveries used to choose the margin: all if fewer than `FEWEST`."""
    return count if count < FEWEST else round(FIRST_PART * count)


def confirm(observed: Range, count: int, min_margin: float) -> Confirmed:
    """Choose the margin for a range, at least `min_margin`, and test it on later deliveries."""
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
    """Return True if no delivery fails the limits drawn from the deliveries before it."""
    for day in range(max(_BEFORE, count // 3), count):
        before = observed.part(0, day)
        if before.has_values and observed.part(day, day + 1).failing(*before.limits(margin)):
            return False
    return True


def confirm_never(wrong: Sequence[bool]) -> Confirmed:
    """Return the record of a check without limits; `wrong` is True where a delivery fails it."""
    count, cut = len(wrong), first_part(len(wrong))
    failed = tuple(place for place in range(cut, count) if wrong[place])
    return Confirmed(
        count, cut if cut < count else 0, count - cut, failed, steady=not any(wrong[:cut])
    )


def confirm_levels(levels: Sequence[frozenset[str]]) -> Confirmed:
    """Test the categories of the first deliveries on the later ones; return the record.

    A later delivery fails if it has a category outside this set.
    """
    count, cut = len(levels), first_part(len(levels))
    first_levels = frozenset().union(*levels[:cut])
    failed = tuple(place for place in range(cut, count) if not levels[place] <= first_levels)
    return Confirmed(count, cut if cut < count else 0, count - cut, failed)
