"""The model that served each day, for answers of any task."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.profiles import Ints


def serving_model(served: Mapping[int, str], window: Window) -> str | None:
    """Return the model that served on most days of a window; the latest of them in a tie."""
    counts: dict[str, int] = {}
    for day in range(window.first, window.end):
        name = served.get(day)
        if name is not None:
            counts[name] = counts.pop(name, 0) + 1
    return max(reversed(counts), key=counts.__getitem__, default=None)


class DailyAnswers(Protocol):
    """Answers of one model by day; the first column of `totals` is their number."""

    @property
    def model(self) -> str: ...

    @property
    def days(self) -> Ints: ...

    @property
    def totals(self) -> npt.NDArray[Any]: ...


def first_answers(profiles: Sequence[DailyAnswers]) -> dict[int, str]:
    """Return {day: the model with most answers on it}; the first by name in a tie."""
    leaders: dict[int, tuple[int, str]] = {}
    for profile in sorted(profiles, key=lambda p: p.model):
        for day, answers in zip(profile.days.tolist(), profile.totals[:, 0].tolist(), strict=True):
            if answers > leaders.get(day, (0, ""))[0]:
                leaders[day] = (answers, profile.model)
    return {day: name for day, (_, name) in leaders.items()}
