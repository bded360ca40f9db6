"""Result of every benchmark: one JSON line per comparison."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """Comparison of Headrace with a peer: their seconds, and True if their answers are equal.

    `ratio` is the peer's time divided by ours, so greater is better. `goal` is the required ratio,
    None without a requirement. `met` also requires equal answers.
    """

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    goal: float | None
    met: bool
    answers_equal: bool
    rss_mb: int

    def line(self) -> str:
        return json.dumps(asdict(self))


def compare(
    name: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    *,
    goal: float | None,
    answers_equal: bool,
    rss_mb: float,
) -> Comparison:
    """Compare the medians of the runs of both sides."""
    ours_s, peer_s = median(ours), median(theirs)
    ratio = peer_s / ours_s
    fast_enough = goal is None or ratio >= goal
    return Comparison(
        name,
        round(ours_s, 3),
        peer,
        round(peer_s, 3),
        round(ratio, 4),
        None if goal is None else round(goal, 4),
        fast_enough and answers_equal,
        answers_equal,
        round(rss_mb),
    )


def alternating(sides: dict[str, Callable[[], dict]], repeat: int) -> dict[str, list[dict]]:
    """Run the sides in turn, `repeat` times, so that other work on the machine affects all."""
    found: dict[str, list[dict]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, side in sides.items():
            found[name].append(side())
    return found
