"""Losses and residuals of predictions of numbers and classes, as sums by day.

Binary models have richer profiles, see `labelled_scores`. One file for each model keeps the sums of
its days, even if a later champion predicts those days as well.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, nan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY
from headrace.core.errors import StateError
from headrace.core.files import digest, write_json
from headrace.core.home import Home
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.labelled_scores import Floats, Joining
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.score_store import read_served, write_served
from headrace.monitoring.profiles.served_days import first_answers
from headrace.monitoring.profiles.store import folder_of

FORMAT = 1
_SUMS = ("loss", "promised", "excess_squares", "residual", "residual_squares")


@dataclass(frozen=True, eq=False)
class LossProfiles:
    """Predictions of one model, by the day on which their labels were mature.

    `days` (epoch days, ascending) have `totals` (days, 7), float64: number of predictions, number
    of labelled predictions, and over the labelled ones the sums of the loss, of the loss that the
    predictions imply, of the squared difference of the two, of the residuals (label minus
    prediction), and of their squares. `numeric` is False for classes, which have no residuals;
    numbers imply no loss.
    """

    model: str
    numeric: bool
    days: Ints
    totals: Floats

    def roll(self, first: int, last: int) -> tuple[Floats]:
        """Return the totals (7) of the days `first <= day < last`."""
        start, end = np.searchsorted(self.days, [first, last])
        return (self.totals[start:end].sum(axis=0),)


@dataclass(frozen=True, eq=False)
class LossAnswers:
    """Predictions of all models: profiles by model, and the model that `served` each day.

    `metric` is the name of the loss in sentences.
    """

    profiles: Mapping[str, LossProfiles]
    served: Mapping[int, str]
    metric: str = "loss"


NO_LOSSES = LossAnswers({}, {})


@dataclass(frozen=True)
class WindowLoss:
    """Labelled predictions of one model in one window: means per row.

    `excess` is the loss minus the loss that the predictions imply; for numbers it is the loss.
    `noise` is the standard error of the excess for independent rows. `residual` is the mean
    residual (label minus prediction) and `spread` the standard deviation of the residuals; nan for
    classes. `title` is the name of the loss.
    """

    window: Window
    rows: int
    loss: float
    excess: float
    noise: float
    residual: float
    spread: float
    title: str
    ranking: None = None


def has_losses(scores: pa.Table | None) -> bool:
    """Return True if the table of scores has losses of predictions, not probabilities of label 1.

    Such a table has `t` (int64 us), `model` (string), and for rows with a known label `loss`
    (float64), for numbers also `residual`, for classes also `promised`.
    """
    return scores is not None and "loss" in scores.column_names


def loss_profiles(scores: pa.Table, how: Joining) -> list[LossProfiles]:
    """Return the profiles of every model in a table with losses, sorted by name."""
    profiles = []
    for name in sorted(pc.unique(scores["model"]).to_pylist()):
        rows = scores.filter(pc.equal(scores["model"], name))
        profiles.append(_profiles(name, rows, how))
    return profiles


def _profiles(model: str, rows: pa.Table, how: Joining) -> LossProfiles:
    day = (rows["t"].to_numpy() + how.offset + how.maturity) // DAY
    if how.closed_by is not None:
        ripe = day < how.closed_by
        rows, day = rows.filter(pa.array(ripe)), day[ripe]
    numeric = "residual" in rows.column_names
    loss, promised, residual = (
        rows[name].to_numpy() if name in rows.column_names else np.zeros(len(day))
        for name in ("loss", "promised", "residual")
    )
    days, place = np.unique(day, return_inverse=True)
    totals = np.zeros((len(days), 2 + len(_SUMS)))
    for at in range(len(days)):
        of_day = place == at
        labelled = of_day & ~np.isnan(loss)
        sums = (loss, promised, np.square(loss - promised), residual, np.square(residual))
        # exactly rounded sums do not depend on the order of the rows
        totals[at] = of_day.sum(), labelled.sum(), *(fsum(values[labelled]) for values in sums)
    return LossProfiles(model, numeric, days, totals)


def window_losses(
    profiles: LossProfiles, windows: Sequence[Window], min_rows: int, metric: str
) -> dict[Window, WindowLoss]:
    """Return the windows with at least `min_rows` labelled rows, on more than half their days."""
    measured = {}
    for window in windows:
        start, end = np.searchsorted(profiles.days, [window.first, window.end])
        days = int((profiles.totals[start:end, 1] > 0).sum())
        (totals,) = profiles.roll(window.first, window.end)
        _, rows, loss, promised, excess_squares, residual, residual_squares = totals.tolist()
        if rows < max(min_rows, 1) or days <= (window.end - window.first) // 2:
            continue
        excess, mean = (loss - promised) / rows, residual / rows
        measured[window] = WindowLoss(
            window,
            int(rows),
            loss / rows,
            excess,
            noise=_deviation(excess_squares / rows, excess) / rows**0.5,
            residual=mean if profiles.numeric else nan,
            spread=_deviation(residual_squares / rows, mean) if profiles.numeric else nan,
            title=metric,
        )
    return measured


def _deviation(mean_square: float, mean: float) -> float:
    """Return the standard deviation."""
    deviation: float = max(mean_square - mean**2, 0.0) ** 0.5
    return deviation


# -- on disk ---------------------------------------------------------------------------------------


def kept_losses(home: Home, source: str, metric: str = "loss") -> LossAnswers:
    """Read the stored losses of the monitor `source`.

    Raises:
        StateError: a newer Headrace wrote them.
    """
    folder = folder_of(home, source) / "losses"
    read = [_read(path) for path in sorted(folder.glob("*.profile.json"))]
    served = read_served(folder / "served.json")
    return LossAnswers({profile.model: profile for profile in read}, served, metric)


def keep_losses(
    home: Home, source: str, stored: LossAnswers, latest: Sequence[LossProfiles]
) -> LossAnswers:
    """Add the latest profiles to the stored profiles, also on disk, and return all profiles.

    A day is replaced if the latest profile has at least as many labels for it, so that late labels
    count.
    """
    folder = folder_of(home, source) / "losses"
    profiles = dict(stored.profiles)
    for profile in latest:
        before = profiles.get(profile.model)
        profiles[profile.model] = profile if before is None else _joined(before, profile)
        _write(folder / f"{digest(profile.model)[:32]}.profile.json", profiles[profile.model])
    settled = {day: name for day, name in stored.served.items() if name in profiles}
    served = {**first_answers(list(profiles.values())), **settled}
    if served != stored.served:
        write_served(folder / "served.json", served)
    return LossAnswers(profiles, served, stored.metric)


def _joined(before: LossProfiles, now: LossProfiles) -> LossProfiles:
    rows = dict(zip(before.days.tolist(), before.totals, strict=True))
    for day, totals in zip(now.days.tolist(), now.totals, strict=True):
        if day not in rows or totals[1] >= rows[day][1]:
            rows[day] = totals
    days = sorted(rows)
    return LossProfiles(
        now.model, now.numeric, np.array(days, np.int64), np.stack([rows[day] for day in days])
    )


def _write(path: Path, profile: LossProfiles) -> None:
    columns = dict(zip(("answers", "labelled", *_SUMS), profile.totals.T.tolist(), strict=True))
    days = {"day": profile.days.tolist(), **columns}
    write_json(
        path, {"format": FORMAT, "model": profile.model, "numeric": profile.numeric, "days": days}
    )


def _read(path: Path) -> LossProfiles:
    value = json.loads(path.read_text())
    if value["format"] > FORMAT:
        raise StateError(
            f"the stored losses have format {value['format']}; this Headrace reads up to {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )
    columns = [value["days"][name] for name in ("answers", "labelled", *_SUMS)]
    days = np.array(value["days"]["day"], np.int64)
    return LossProfiles(value["model"], value["numeric"], days, np.array(columns, np.float64).T)
