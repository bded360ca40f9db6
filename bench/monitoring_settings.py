"""Rules that turn the numbers of peers into alarms: their defaults, and tuned settings.

A tuned setting has one number for data and one for the relation: the smallest of a grid with which
at most 10% (for the relation 4%) of the windows of the tuning histories raise an alarm.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

GRID = (1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0)
MOST_DATA, MOST_CONCEPT = 0.1, 0.04
NULLS, ROWS, UNSEEN = 0.05, 0.3, 0.05
Unit = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """Numbers of the peers for one window of a history, and for windows before it.

    `past` are the scored windows before it, without faults, oldest first; `fitted` are the first
    scored windows of the history.
    """

    now: Unit
    past: Sequence[Unit]
    fitted: Sequence[Unit]


Rule = Callable[[Seen, float], bool]


@dataclass(frozen=True)
class Setting:
    """Setting of a peer; `data` and `concept` return True for an alarm, given the tuned number."""

    name: str
    setting: str
    data: Rule
    concept: Rule
    tuned: bool = False


def _never(_seen: Seen, _size: float) -> bool:
    return False


def _half_drifted(seen: Seen, _size: float) -> bool:
    drifted = [drift for _, drift in seen.now["evidently"]["preset"].values()]
    return sum(drifted) >= len(drifted) / 2


def _any_drifted(seen: Seen, _size: float) -> bool:
    return any(drift for _, drift in seen.now["evidently"]["preset"].values())


def _past_distances(seen: Seen, size: float) -> bool:
    """Compare each column's distance from the four windows before with `size` times its maximum.

    The maximum is over all earlier windows.
    """
    return _beyond(seen, size, "recent") or _other_rows(seen)


def _past_psi(seen: Seen, size: float) -> bool:
    return _beyond(seen, size, "plain_recent")


def _beyond(seen: Seen, size: float, what: str) -> bool:
    return any(
        value > size * max(one["evidently"][what][name][0] for one in seen.past)
        for name, (value, _) in seen.now["evidently"][what].items()
    )


def _other_rows(seen: Seen) -> bool:
    """Return True for five points more nulls than ever before, or 30% more or fewer rows."""
    now, past = seen.now["evidently"], [one["evidently"] for one in seen.past]
    usual = median(one["rows"] for one in past)
    nulls = any(
        share > max(one["nulls"][name] for one in past) + NULLS
        for name, share in now["nulls"].items()
    )
    return nulls or abs(now["rows"] / usual - 1) > ROWS


def _areas(windows: Sequence[Unit]) -> list[float]:
    """Return the areas under the curve; a window whose outcomes are all the same has none."""
    found = [one["evidently"]["auc"] for one in windows]
    return [area for area in found if area is not None]


def _fifth_off(seen: Seen, _size: float) -> bool:
    """Apply Evidently's own test: the area under the curve differs from the reference's by 20%."""
    usual, now = _areas(seen.fitted), seen.now["evidently"]["auc"]
    return bool(usual) and now is not None and abs(now / median(usual) - 1) > 0.2


def _ranks_worse(seen: Seen, size: float) -> bool:
    """Return True if the area under the curve is `size` times further below usual than ever."""
    past, now = _areas(seen.past), seen.now["evidently"]["auc"]
    if not past or now is None:
        return False
    return median(past) - now > size * max(median(past) - min(past), 0.01)


def _any_alert(seen: Seen, _size: float) -> bool:
    return any(alert for _, alert, *_ in seen.now["nannyml"]["drift"].values())


def _any_alert_or_estimate(seen: Seen, size: float) -> bool:
    return _any_alert(seen, size) or bool(seen.now["nannyml"]["estimated"]["roc_auc"][1])


def _wide_alert(seen: Seen, size: float) -> bool:
    """Return True for drift of `size` times its threshold, or too many nulls or unseen values."""
    now = seen.now["nannyml"]
    drift = any(
        None not in {value, upper} and value > size * upper
        for value, _, upper, _ in now["drift"].values()
    )
    worse = [(now["missing"], NULLS), (now["unseen"], UNSEEN)]
    return drift or any(
        value is not None and value > (upper or 0.0) + least
        for found, least in worse
        for value, _, upper, _ in found.values()
    )


def _realized(seen: Seen, _size: float) -> bool:
    return bool(seen.now["nannyml"]["realized"]["roc_auc"][1])


def _realized_far(seen: Seen, size: float) -> bool:
    """Return True if performance is `size` times further below its mean than the threshold."""
    value, _, _, lower = seen.now["nannyml"]["realized"]["roc_auc"]
    areas = _areas(seen.fitted)
    if not areas or value is None or lower is None:
        return False
    usual = mean(areas)
    return usual - value > size * (usual - lower)


def _psi_over(seen: Seen, _size: float) -> bool:
    return any(psi > 0.2 for psi, _ in seen.now["evidently"]["plain"].values())


def _p_under(seen: Seen, _size: float) -> bool:
    return any(p < 0.05 for _, p in seen.now["evidently"]["plain"].values())


def _p_far_under(seen: Seen, size: float) -> bool:
    """Compare with the four windows before: Bonferroni's limit, times 10 ** (1 - `size`)."""
    found = seen.now["evidently"]["plain_recent"]
    return any(p < 0.05 / len(found) * 10 ** (1 - size) for _, p in found.values())


SETTINGS = (
    Setting("Evidently", "defaults: half of the columns drift", _half_drifted, _fifth_off),
    Setting("Evidently", "defaults: any column drifts", _any_drifted, _fifth_off),
    Setting("Evidently", "tuned", _past_distances, _ranks_worse, tuned=True),
    Setting("NannyML", "defaults", _any_alert, _realized),
    Setting("NannyML", "defaults, and estimated performance", _any_alert_or_estimate, _realized),
    Setting("NannyML", "tuned", _wide_alert, _realized_far, tuned=True),
    Setting("PSI", "over 0.2 in any column", _psi_over, _never),
    Setting("PSI", "tuned", _past_psi, _never, tuned=True),
    Setting("KS and chi squared", "p below 0.05 in any column", _p_under, _never),
    Setting("KS and chi squared", "tuned", _p_far_under, _never, tuned=True),
)


def chosen(rule: Rule, windows: Sequence[Seen], most: float) -> float:
    """Return the smallest number of the grid with which at most `most` of the windows alarm."""
    for size in GRID:
        if sum(rule(one, size) for one in windows) <= most * len(windows):
            return size
    return GRID[-1]
