"""Mean and standard deviation from exact integers of any size, rounded as in rule 15.

`fl(x)` is x rounded once to the nearest float64.
"""

import math
from collections.abc import Sequence


def mean(n: int, total: int, scale: int) -> float:
    """Return fl(S1) / fl(n 10^d)."""
    return float(total) / float(n * 10**scale)


def std(n: int, total: int, squares: Sequence[int], scale: int) -> float:
    """Return sqrt(fl(n S2 - S1^2) / fl(n (n-1) 10^2d)).

    `squares` are the 32-bit words of S2, least significant first.
    """
    s2 = sum(word << 32 * i for i, word in enumerate(squares))
    spread = n * s2 - total * total
    return math.sqrt(float(spread) / float(n * (n - 1) * 10 ** (2 * scale)))
