"""Score profiles on disk, one file for each model, and the model that served each day.

The answers of a model on a day are kept, even if a later champion scores that day as well. The
model that served a day is recorded when the day's labels are first mature, and never changes. If a
later run has at least as many labels for a model's day, its answers replace the stored ones, so
that late labels count.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.core.errors import StateError
from headrace.core.files import digest, move_into_place, temporary_beside, write_json
from headrace.core.home import Home
from headrace.monitoring.profiles.labelled_scores import (
    SCORE_BINS,
    Answers,
    ScoreProfiles,
    days_of,
    merge_scores,
)
from headrace.monitoring.profiles.segment_cuts import Cut, Ints
from headrace.monitoring.profiles.served_days import first_answers
from headrace.monitoring.profiles.store import folder_of

FORMAT = 1
_META = b"headrace.scores"
_ARRAYS = ("days", "totals", "place", "cell", "sums", "answer_days", "answers")


def kept_answers(home: Home, source: str) -> Answers:
    """Read the stored answers of the monitor `source`.

    Raises:
        StateError: a newer Headrace wrote them.
    """
    folder = folder_of(home, source) / "answers"
    read = [_read(path) for path in sorted(folder.glob("*.parquet"))]
    return Answers(
        {profile.model: profile for profile in read}, read_served(folder / "served.json")
    )


def keep_answers(
    home: Home, source: str, stored: Answers, latest: Sequence[ScoreProfiles]
) -> Answers:
    """Add the latest profiles to the stored profiles, also on disk, and return all profiles."""
    folder = folder_of(home, source) / "answers"
    profiles = dict(stored.profiles)
    for profile in latest:
        before = profiles.get(profile.model)
        profiles[profile.model] = joined(before, profile) if before else profile
        if before is None or not same_profiles(profiles[profile.model], before):
            _write(folder / f"{digest(profile.model)[:32]}.parquet", profiles[profile.model])
    settled = {day: name for day, name in stored.served.items() if name in profiles}
    served = {**first_answers(list(profiles.values())), **settled}
    if served != stored.served:
        write_served(folder / "served.json", served)
    return Answers(profiles, served)


def joined(before: ScoreProfiles, now: ScoreProfiles) -> ScoreProfiles:
    """Return each day from the profile that has more labels (or answers) for it; `now` in a tie.

    Profiles with different segments cannot be joined: then the result is `now`.
    """
    if (before.cuts, before.cut_until) != (now.cuts, now.cut_until):
        return now
    days = _days_to_replace(before.days, before.totals[:, 1], now.days, now.totals[:, 1])
    answer_days = _days_to_replace(
        before.answer_days, before.answers.sum(axis=1), now.answer_days, now.answers.sum(axis=1)
    )
    stays = days_of(
        before, np.setdiff1d(before.days, days), np.setdiff1d(before.answer_days, answer_days)
    )
    return merge_scores(stays, days_of(now, days, answer_days))


def _days_to_replace(before: Ints, old_counts: Ints, now: Ints, new_counts: Ints) -> Ints:
    """Return the days of `now` whose count is at least the earlier count."""
    previous: Mapping[int, int] = dict(zip(before.tolist(), old_counts.tolist(), strict=True))
    days = [
        d for d, n in zip(now.tolist(), new_counts.tolist(), strict=True) if n >= previous.get(d, 0)
    ]
    return np.array(days, np.int64)


def same_profiles(a: ScoreProfiles, b: ScoreProfiles) -> bool:
    comparable = (a.model, a.cuts, a.cut_until) == (b.model, b.cuts, b.cut_until)
    return comparable and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in _ARRAYS)


def write_served(path: Path, served: Mapping[int, str]) -> None:
    write_json(path, {"format": FORMAT, "served": _runs(served)})


def _runs(served: Mapping[int, str]) -> list[list[Any]]:
    """Return [first day, last day, model] of each run of days that one model served."""
    order = sorted(served.items())
    runs = groupby(enumerate(order), key=lambda entry: (entry[1][0] - entry[0], entry[1][1]))
    intervals = []
    for (_, name), group in runs:
        days = [day for _, (day, _) in group]
        intervals.append([days[0], days[-1], name])
    return intervals


def read_served(path: Path) -> dict[int, str]:
    """Return {day: model that served it}; {} if there is no such file."""
    if not path.exists():
        return {}
    value = json.loads(path.read_text())
    _check(value["format"], path)
    runs = value["served"]
    return {day: str(name) for first, last, name in runs for day in range(first, last + 1)}


def _check(version: int, path: Path) -> None:
    if version > FORMAT:
        raise StateError(
            f"the stored scores have format {version}; this Headrace reads up to {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )


def _write(path: Path, profile: ScoreProfiles) -> None:
    """Write one row per day, cell and day of answers, readable by any Parquet reader."""
    day_index, band = np.nonzero(profile.answers)
    parts = {
        "day": (profile.days, np.zeros_like(profile.days), profile.totals),
        "cell": (profile.days[profile.place], profile.cell, profile.sums),
        "given": (
            profile.answer_days[day_index],
            band,
            profile.answers[day_index, band][:, None] * [1, 0, 0],
        ),
    }
    tables = [
        pa.table(
            {
                "what": pa.array([what] * len(day), pa.string()),
                "day": pa.array(day, pa.int64()),
                "cell": pa.array(cell, pa.int64()),
                **{f"n{at}": pa.array(values[:, at], pa.int64()) for at in range(3)},
            }
        )
        for what, (day, cell, values) in parts.items()
    ]
    meta = {
        "format": FORMAT,
        "model": profile.model,
        "cuts": [cut.to_json() for cut in profile.cuts],
        "cut_until": profile.cut_until,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    table = pa.concat_tables(tables).replace_schema_metadata({_META: json.dumps(meta)})
    pq.write_table(table, temporary)
    move_into_place(temporary, path)


def _read(path: Path) -> ScoreProfiles:
    table = pq.read_table(path)
    meta = json.loads(table.schema.metadata[_META])
    _check(meta["format"], path)
    days, _, totals = _part(table, "day")
    cell_day, cell, sums = _part(table, "cell")
    given_day, band, count = _part(table, "given")
    answer_days, at = np.unique(given_day, return_inverse=True)
    answers = np.zeros((len(answer_days), SCORE_BINS), np.int64)
    answers[at, band] = count[:, 0]
    cuts = tuple(Cut.from_json(cut) for cut in meta["cuts"])
    place = np.searchsorted(days, cell_day)
    return ScoreProfiles(
        meta["model"],
        cuts,
        meta["cut_until"],
        days,
        totals,
        place,
        cell,
        sums,
        answer_days,
        answers,
    )


def _part(table: pa.Table, what: str) -> tuple[Ints, Ints, Ints]:
    rows = table.filter(pc.equal(table["what"], what))
    values = np.stack([rows[f"n{at}"].to_numpy() for at in range(3)], axis=1)
    return rows["day"].to_numpy(), rows["cell"].to_numpy(), values
