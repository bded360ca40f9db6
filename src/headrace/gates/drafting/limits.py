"""How wide limits must be: chosen on the first part of history, confirmed on the rest.

A margin is a multiple of the range that was seen. On the first part each day is held against limits
from the days before it; the least margin under which none fails is taken. The days of the rest,
which had no part in the choice, then say how often such limits would have been wrong.
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
_BEFORE = 5  # days from which limits are drawn at the least


@dataclass(frozen=True)
class Range:
    """What a check looks at in each delivery: everything between `low` and `high`; NaN is nothing.

    `least_spread` is the share of the greatest value that a margin is a multiple of, however little
    was seen to vary; `counts` also vary as counts do.
    """

    low: Floats
    high: Floats
    least_spread: float = 0.2
    counts: bool = False
    whole: bool = False

    def part(self, first: int, last: int) -> "Range":
        low, high = self.low[first:last], self.high[first:last]
        return Range(low, high, self.least_spread, self.counts, self.whole)

    @property
    def known(self) -> bool:
        return bool((~np.isnan(self.low)).any())

    def limits(self, margin: float) -> tuple[float, float]:
        """What was seen and `margin` times its range on either side, rounded outwards."""
        low, high = float(np.nanmin(self.low)), float(np.nanmax(self.high))
        size = max(abs(low), abs(high))
        spread = max(high - low, self.least_spread * size)
        if self.counts:
            spread = max(spread, 3 * math.sqrt(size))
        least = low - margin * spread
        if low >= 0:
            least = max(0.0, least)
        return self._outwards(least, -1), self._outwards(high + margin * spread, 1)

    def _outwards(self, value: float, sign: int) -> float:
        """To three digits and whole numbers where they are whole, away from what was seen."""
        if value == 0 or not math.isfinite(value):
            return value
        step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
        step = max(step, 1.0) if self.whole else step
        if step == 0:  # of the least numbers there are
            return value
        rounded = (math.ceil if sign > 0 else math.floor)(value / step) * step
        return float(f"{rounded:.12g}")

    def failing(self, low: float, high: float) -> list[int]:
        """Places of the deliveries outside limits."""
        outside = (self.low < low) | (self.high > high)  # NaN is neither
        return [int(place) for place in np.flatnonzero(outside)]


@dataclass(frozen=True)
class Confirmed:
    """What history says of a check.

    Attributes:
        seen: deliveries that its limits were drawn from.
        chosen_on: deliveries on which the margin was chosen; 0 where history is too short.
        confirmed_on: later deliveries that it was held against; `failed` are places of those that
            it would have failed.
        margin: multiples of the range; None where there is nothing to choose.
        steady: whether any margin would have held on the first part.
    """

    seen: int
    chosen_on: int = 0
    confirmed_on: int = 0
    failed: tuple[int, ...] = ()
    margin: float | None = None
    steady: bool = True

    @property
    def holds(self) -> bool:
        return self.steady and not self.failed

    def document(self, slots: Sequence[str]) -> dict[str, Any]:
        return {
            "seen": self.seen,
            "chosen_on": self.chosen_on,
            "confirmed_on": self.confirmed_on,
            "failed": len(self.failed),
            "failed_slots": [slots[place] for place in self.failed],
            "margin": self.margin,
        }


def first_part(count: int) -> int:
    """Deliveries on which margins are chosen; all of them if there are few."""
    return count if count < FEWEST else round(FIRST_PART * count)


def confirm(seen: Range, count: int, least: float) -> Confirmed:
    """The margin for a range, no less than `least`, and how it does on later days."""
    cut = first_part(count)
    margins = [margin for margin in MARGINS if margin >= least]
    if cut == count:
        return Confirmed(count, margin=max(least, 0.5))
    first = seen.part(0, cut)
    if not first.known:
        return Confirmed(count, cut, count - cut, steady=False)
    margin = next((m for m in margins if _holds(first, cut, m)), None)
    low, high = first.limits(margins[-1] if margin is None else margin)
    failed = tuple(cut + place for place in seen.part(cut, count).failing(low, high))
    return Confirmed(count, cut, count - cut, failed, margin, steady=margin is not None)


def _holds(seen: Range, count: int, margin: float) -> bool:
    """Whether no day fails limits from the days before it."""
    for day in range(max(_BEFORE, count // 3), count):
        before = seen.part(0, day)
        if before.known and seen.part(day, day + 1).failing(*before.limits(margin)):
            return False
    return True


def confirm_never(wrong: Sequence[bool]) -> Confirmed:
    """Of something that must never be: how often it was, on later days."""
    count, cut = len(wrong), first_part(len(wrong))
    failed = tuple(place for place in range(cut, count) if wrong[place])
    return Confirmed(
        count, cut if cut < count else 0, count - cut, failed, steady=not any(wrong[:cut])
    )


def confirm_levels(levels: Sequence[frozenset[str]]) -> Confirmed:
    """Of a set of levels: on how many later days one came that the first part had not."""
    count, cut = len(levels), first_part(len(levels))
    known = frozenset().union(*levels[:cut])
    failed = tuple(place for place in range(cut, count) if not levels[place] <= known)
    return Confirmed(count, cut if cut < count else 0, count - cut, failed)
