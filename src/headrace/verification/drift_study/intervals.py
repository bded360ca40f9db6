"""Confidence intervals of shares."""

from math import sqrt

Z = 1.959963984540054  # two-sided 95% quantile of the standard normal


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95% score interval (Wilson 1927) of the share `hits / of`; (0, 1) if `of` is 0."""
    if of == 0:
        return 0.0, 1.0
    share, spread = hits / of, Z * Z / of
    middle = share + spread / 2
    reach = Z * sqrt(share * (1 - share) / of + spread / (4 * of))
    low, high = ((middle + sign * reach) / (1 + spread) for sign in (-1, 1))
    # Return exactly 0 and 1: the formula may miss them by a rounding error.
    return (0.0 if hits == 0 else low), (1.0 if hits == of else high)
