"""Score profiles on disk: a file a model, whole or not at all, and who served each day.

What a model answered on a day stays, though a later champion is asked about it too: who served a
day is written down when its labels are first mature, and never changed. A day of the same model is
taken anew where it has at least as many labels as before, so that late ones still count.
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
    first_answers,
    merge_scores,
)
from headrace.monitoring.profiles.segment_cuts import Cut, Ints
from headrace.monitoring.profiles.store import folder_of

FORMAT = 1
_META = b"headrace.scores"
_ARRAYS = ("days", "totals", "place", "cell", "sums", "given", "answers")


def kept_answers(home: Home, source: str) -> Answers:
    """What is on disk for the monitor `source`.

    Raises:
        StateError: written by a newer Headrace.
    """
    folder = folder_of(home, source) / "answers"
    read = [_read(path) for path in sorted(folder.glob("*.parquet"))]
    return Answers({one.model: one for one in read}, _read_served(folder / "served.json"))


def keep_answers(home: Home, source: str, kept: Answers, made: Sequence[ScoreProfiles]) -> Answers:
    """Add to what was kept, on disk too, and give all of it."""
    folder = folder_of(home, source) / "answers"
    profiles = dict(kept.profiles)
    for one in made:
        before = profiles.get(one.model)
        profiles[one.model] = joined(before, one) if before else one
        if before is None or not same(profiles[one.model], before):
            _write(folder / f"{digest(one.model)[:32]}.parquet", profiles[one.model])
    held = {day: name for day, name in kept.served.items() if name in profiles}
    served = {**first_answers(list(profiles.values())), **held}
    if served != kept.served:
        write_json(folder / "served.json", {"format": FORMAT, "served": _runs(served)})
    return Answers(profiles, served)


def joined(before: ScoreProfiles, now: ScoreProfiles) -> ScoreProfiles:
    """Every day from where it has more labels (answers), `now` where they are even.

    Segments that are cut otherwise cannot be joined: then it is `now` alone.
    """
    if (before.cuts, before.cut_until) != (now.cuts, now.cut_until):
        return now
    days = _fewer(before.days, before.totals[:, 1], now.days, now.totals[:, 1])
    given = _fewer(before.given, before.answers.sum(axis=1), now.given, now.answers.sum(axis=1))
    stays = days_of(before, np.setdiff1d(before.days, days), np.setdiff1d(before.given, given))
    return merge_scores(stays, days_of(now, days, given))


def _fewer(before: Ints, had: Ints, now: Ints, has: Ints) -> Ints:
    """The days of `now` that do not have fewer than before."""
    known: Mapping[int, int] = dict(zip(before.tolist(), had.tolist(), strict=True))
    kept = [d for d, n in zip(now.tolist(), has.tolist(), strict=True) if n >= known.get(d, 0)]
    return np.array(kept, np.int64)


def same(a: ScoreProfiles, b: ScoreProfiles) -> bool:
    about = (a.model, a.cuts, a.cut_until) == (b.model, b.cuts, b.cut_until)
    return about and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in _ARRAYS)


def _runs(served: Mapping[int, str]) -> list[list[Any]]:
    """[first day, last day, model] of the days that one model served in a row."""
    order = sorted(served.items())
    runs = groupby(enumerate(order), key=lambda one: (one[1][0] - one[0], one[1][1]))
    found = []
    for (_, name), group in runs:
        days = [day for _, (day, _) in group]
        found.append([days[0], days[-1], name])
    return found


def _read_served(path: Path) -> dict[int, str]:
    if not path.exists():
        return {}
    value = json.loads(path.read_text())
    _check(value["format"], path)
    runs = value["served"]
    return {day: str(name) for first, last, name in runs for day in range(first, last + 1)}


def _check(found: int, path: Path) -> None:
    if found > FORMAT:
        raise StateError(
            f"scores of format {found}, this Headrace reads up to {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )


def _write(path: Path, one: ScoreProfiles) -> None:
    """One row per day, cell and day of giving, readable by anything that reads Parquet."""
    given, band = np.nonzero(one.answers)
    parts = {
        "day": (one.days, np.zeros_like(one.days), one.totals),
        "cell": (one.days[one.place], one.cell, one.sums),
        "given": (one.given[given], band, one.answers[given, band][:, None] * [1, 0, 0]),
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
        "model": one.model,
        "cuts": [each.to_json() for each in one.cuts],
        "cut_until": one.cut_until,
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
    given, at = np.unique(given_day, return_inverse=True)
    answers = np.zeros((len(given), SCORE_BINS), np.int64)
    answers[at, band] = count[:, 0]
    cuts = tuple(Cut.from_json(one) for one in meta["cuts"])
    place = np.searchsorted(days, cell_day)
    return ScoreProfiles(
        meta["model"], cuts, meta["cut_until"], days, totals, place, cell, sums, given, answers
    )


def _part(table: pa.Table, what: str) -> tuple[Ints, Ints, Ints]:
    some = table.filter(pc.equal(table["what"], what))
    values = np.stack([some[f"n{at}"].to_numpy() for at in range(3)], axis=1)
    return some["day"].to_numpy(), some["cell"].to_numpy(), values
