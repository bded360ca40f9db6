"""What a first pipeline asks: about whom, over which windows, to predict what, split when.

Each choice works on the data that was seen and is meant to be changed.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc

from headrace.core.clock import DAY, duration, from_us
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.core.time_zones import to_local, to_utc
from headrace.scaffold.answers import plain_name
from headrace.scaffold.contract import known_by
from headrace.scaffold.inspection.declarations import Derived
from headrace.scaffold.inspection.domains import ends_as_id, is_amount, is_calendar
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.inspection.file_inspection import Column

_LADDER = ("1h", "6h", "1d", "7d", "28d", "91d", "372d")
_MOST_MEASURES, _MOST_TEXTS = 4, 2
ALL = "whole"


@dataclass(frozen=True)
class Choices:
    """`windows`: two trailing ones, short and long. `offset`: from a row to its prediction."""

    entity: tuple[str, ...]
    entity_is_guess: bool
    whole: bool
    measures: tuple[str, ...]
    texts: tuple[str, ...]
    context: tuple[str, ...]
    windows: tuple[str, str]
    offset: str
    horizon: str
    settle: str
    target: str
    derived: tuple[Derived, ...]
    train_until: str
    valid_until: str
    cutoff: str


def derived_columns(found: Facts) -> tuple[Derived, ...]:
    """The columns that the label and a table without entities need."""
    whole = () if _entity(found)[0] else (_whole(found),)
    return (*whole, *_target(found)[1])


def choose(found: Facts) -> Choices:
    """Raises DeclarationError where the file is too short, or has nothing to predict."""
    entity, guessed = _entity(found)
    target, made = _target(found)
    lag = known_by(found.look, found.delays)
    span = int(found.event_us.max() - found.event_us.min())
    gap = found.gap(entity)
    horizon = _horizon(gap, span)
    texts = tuple(
        column.name
        for column in found.look.columns
        if column.type == "string"
        and column.name not in entity
        and column not in (*found.look.times, *found.look.key)
        and column.name not in found.look.personal
        and not is_calendar(column)
        and found.levels(column.name)
    )
    taken = {*entity, *(column.name for column in found.look.key)}
    measures = tuple(column.name for column in _measures(found) if column.name not in taken)
    personal = bool(found.look.personal & set(entity))
    few = found.distinct(entity) <= 40 if entity and not personal else False
    train, valid, cutoff = _splits(found, duration(horizon) + max(duration(lag), 0), lag)
    return Choices(
        entity=entity or (_whole(found).name,),
        entity_is_guess=guessed,
        whole=not entity,
        measures=measures[:_MOST_MEASURES],
        texts=texts[:_MOST_TEXTS],
        context=entity if few else (),
        windows=_windows(gap, horizon),
        # One microsecond after an event that is known at once: then it is history, not outcome.
        offset=lag if duration(lag) > 0 else "1us",
        horizon=horizon,
        settle=lag if duration(lag) > 0 else "0s",
        target=target,
        derived=(*(() if entity else (_whole(found),)), *made),
        train_until=train,
        valid_until=valid,
        cutoff=cutoff,
    )


def _entity(found: Facts) -> tuple[tuple[str, ...], bool]:
    """As asked; else the part of the key, or the id, whose values come back; else none."""
    if found.look.entity:
        return tuple(column.name for column in found.look.entity), False
    fitting = [column for column in found.look.columns if _comes_back(found, column)]
    if not fitting:
        return (), True
    best = max(fitting, key=lambda c: (c in found.look.key, found.distinct([c.name])))
    return (best.name,), True


def _comes_back(found: Facts, column: Column) -> bool:
    named_so = column in found.look.key or ends_as_id(column)
    if (
        column in found.look.times
        or is_calendar(column)
        or not named_so
        or column.type not in {"string", "integer"}
    ):
        return False
    return not found.nulls(column.name) and 1 < found.distinct([column.name]) <= _rows(found) / 2


def _rows(found: Facts) -> int:
    return int(found.table.num_rows)


def _whole(found: Facts) -> Derived:
    words = "The same for all rows: an entity for features of the whole table."
    return Derived(found.look.free(ALL), "string", words, "'all'")


def _numbers(found: Facts) -> list[Column]:
    roles = (*found.look.times, *found.look.key, *found.look.entity)
    return [c for c in found.look.columns if c.is_number and c not in roles]


def _measures(found: Facts) -> list[Column]:
    """Numbers that measure something, can be summed exactly and vary; what is named so first.

    Parts of a calendar, codes and places are numbers that name something, and counting
    rows or days is not measuring.
    """
    fitting = [
        column
        for column in _numbers(found)
        if column.sums
        and column.max_abs is not None
        and column.name not in found.look.personal
        and not found.is_name(column)
        and _varies(found, column.name)
        and not _follows_time(found, column)
        and not _numbered(found, column)
    ]
    return sorted(fitting, key=lambda c: (_is_flag(found, c), not is_amount(c)))


def _follows_time(found: Facts, column: Column) -> bool:
    """Return True if rows of one time share one value, as with a clock, a season or a holiday."""
    times = len(np.unique(found.event_us))
    together = found.distinct(["event_time", column.name])
    return times * 2 < _rows(found) and together <= times * 1.01


def _numbered(found: Facts, column: Column) -> bool:
    """Return True if it numbers the rows."""
    seen = found.range(column.name)
    rows = _rows(found)
    return (
        column.type == "integer"
        and seen is not None
        and found.distinct([column.name]) == rows
        and seen.high - seen.low < 2 * rows
    )


def _varies(found: Facts, name: str) -> bool:
    seen = found.range(name)
    return seen is not None and seen.low < seen.high


def _target(found: Facts) -> tuple[str, tuple[Derived, ...]]:
    """The label's column, 0 or 1, and what the contract derives for it."""
    column = found.look.target or _guessed_target(found)
    name = column.name
    if _is_flag(found, column):
        return name, ()
    if column.type == "boolean":
        sql, label, words = f"CAST({ident(name)} AS BIGINT)", f"{name}_is_true", f"1 if {name}."
    elif column.is_number and _varies(found, name):
        return _above_median(found, column)
    elif column.type == "string" and (levels := found.levels(name)) and len(levels) > 1:
        counts = {row["values"]: row["counts"] for row in _counts(found, name)}
        level = max(levels, key=lambda level: (counts[level], level))
        sql = f"CAST({ident(name)} = {literal(level)} AS BIGINT)"
        label, words = f"{name}_is_{plain_name(level)}", f"1 if {name} is {level!r}, else 0."
    else:
        raise DeclarationError(
            f"{column.header!r} cannot be predicted: every row has the same value, or its own",
            where="--target",
            fix=f"name another column: {', '.join(c.header for c in found.look.columns)}",
        )
    label = found.look.free(label)
    return label, (Derived(label, "integer", words, sql, 1),)


def _counts(found: Facts, name: str) -> list[dict[str, object]]:
    counted: list[dict[str, object]] = pc.value_counts(found.table[name]).to_pylist()
    return counted


def _above_median(found: Facts, column: Column) -> tuple[str, tuple[Derived, ...]]:
    limit = found.median(column.name)
    unit = f" (the limit is in units of 10^-{column.scale})" if column.scale else ""
    words = f"1 if {column.name} is above the median of the first file, else 0{unit}."
    sql = f"CAST({ident(column.name)} > {limit!r} AS BIGINT)"
    label = found.look.free(f"{column.name}_high")
    return label, (Derived(label, "integer", words, sql, 1),)


def _guessed_target(found: Facts) -> Column:
    measures = _measures(found)
    flags = [c for c in measures if _is_flag(found, c)]
    numbers = [c for c in _numbers(found) if _varies(found, c.name)]
    booleans = [c for c in found.look.columns if c.type == "boolean"]
    texts = [
        c
        for c in found.look.columns
        if c.type == "string"
        and c not in (*found.look.times, *found.look.key, *found.look.entity)
        and c.name not in found.look.personal
        and not is_calendar(c)
        and len(found.levels(c.name) or []) > 1
    ]
    for candidates in (flags, booleans, measures, texts, numbers):
        if candidates:
            return candidates[0]
    raise DeclarationError(
        "nothing to predict: besides time, key and entity the file has no column that varies",
        where=str(found.look.ask.data),
        fix="add a column (an amount, a status, a yes or no), or name one with --target",
    )


def _is_flag(found: Facts, column: Column) -> bool:
    seen = found.range(column.name)
    return column.type == "integer" and seen is not None and (seen.low, seen.high) == (0, 1)


def _horizon(gap: int, span: int) -> str:
    """At least the usual gap to the next row, and at most an eighth of what there is."""
    fitting = [step for step in _LADDER if duration(step) * 8 <= span]
    if not fitting:
        raise DeclarationError(
            "the file covers less than eight hours",
            fix="give more history: it has to be split into training, validation and test",
        )
    return next((step for step in fitting if duration(step) >= gap), fitting[-1])


def _windows(gap: int, horizon: str) -> tuple[str, str]:
    """Some rows in the short one, a season of them in the long one."""
    least = max(3 * gap, duration(horizon))
    places = [n for n, (one, _) in enumerate(pairwise(_LADDER)) if duration(one) >= least]
    place = places[0] if places else len(_LADDER) - 2
    return _LADDER[place], _LADDER[place + 1]


def _splits(found: Facts, matures: int, lag: str) -> tuple[str, str, str]:
    """Midnights in the zone: 70% of rows to train, 15% to choose, the rest to test."""
    zone = found.look.ask.zone
    t = np.sort(found.event_us) + duration(lag)
    end = _midnight(int(t[-1]), zone, 1)
    least = matures + DAY
    train = _midnight(int(t[int(0.7 * len(t))]), zone)
    valid = max(_midnight(int(t[int(0.85 * len(t))]), zone), _midnight(train + least, zone, 1))
    if valid + least >= end:
        valid = _midnight(end - least, zone)
        train = min(train, _midnight(valid - least, zone))
    if not int(t[0]) + least < train < valid < end:
        raise DeclarationError(
            "the file is too short to be split into training, validation and test",
            where=f"labels need {matures / DAY:.1f} days to be known",
            fix="give more history",
        )
    return _iso(train), _iso(valid), _iso(end)


def _midnight(us: int, zone: str, more: int = 0) -> int:
    """The last local midnight by `us`, or `more` days later."""
    local = to_local(np.array([us]), zone) // DAY * DAY + more * DAY
    return int(to_utc(local, zone)[0])


def _iso(us: int) -> str:
    return from_us(us).isoformat().replace("+00:00", "Z")
