"""Default choices for a first pipeline: entity, windows, prediction target and splits.

Each choice works for the inspected data; users are expected to change it.
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
from headrace.scaffold.inspection.file_inspection import InspectedColumn

_LADDER = ("1h", "6h", "1d", "7d", "28d", "91d", "372d")
_MOST_MEASURES, _MOST_TEXTS = 4, 2
ALL = "whole"


@dataclass(frozen=True)
class Choices:
    """Default choices for a first pipeline.

    `windows` are the lengths of a short and a long trailing window; `offset` is the time from a
    row's event to its prediction.
    """

    entity: tuple[str, ...]
    entity_is_guess: bool
    whole_table: bool
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


def derived_columns(facts: Facts) -> tuple[Derived, ...]:
    """Return the columns to derive for the label and, without an entity, for the whole table."""
    table_entity = () if _entity(facts)[0] else (_table_entity(facts),)
    return (*table_entity, *_target(facts)[1])


def choose(facts: Facts) -> Choices:
    """Make the choices; raise DeclarationError if history is too short or there is no target."""
    entity, guessed = _entity(facts)
    target, derived = _target(facts)
    lag = known_by(facts.look, facts.delays)
    span = int(facts.event_us.max() - facts.event_us.min())
    gap = facts.gap(entity)
    horizon = _horizon(gap, span)
    texts = tuple(
        column.name
        for column in facts.look.columns
        if column.type == "string"
        and column.name not in entity
        and column not in (*facts.look.times, *facts.look.key)
        and column.name not in facts.look.personal
        and not is_calendar(column)
        and facts.levels(column.name)
    )
    roles = {*entity, *(column.name for column in facts.look.key)}
    measures = tuple(column.name for column in _measures(facts) if column.name not in roles)
    personal = bool(facts.look.personal & set(entity))
    few = facts.distinct(entity) <= 40 if entity and not personal else False
    train, valid, cutoff = _splits(facts, duration(horizon) + max(duration(lag), 0), lag)
    return Choices(
        entity=entity or (_table_entity(facts).name,),
        entity_is_guess=guessed,
        whole_table=not entity,
        measures=measures[:_MOST_MEASURES],
        texts=texts[:_MOST_TEXTS],
        context=entity if few else (),
        windows=_windows(gap, horizon),
        # If rows are known at once, predict 1 us later, so that the row counts as history.
        offset=lag if duration(lag) > 0 else "1us",
        horizon=horizon,
        settle=lag if duration(lag) > 0 else "0s",
        target=target,
        derived=(*(() if entity else (_table_entity(facts),)), *derived),
        train_until=train,
        valid_until=valid,
        cutoff=cutoff,
    )


def _entity(facts: Facts) -> tuple[tuple[str, ...], bool]:
    """Return (entity columns, True if guessed); the guess is a key column or id that repeats."""
    if facts.look.entity:
        return tuple(column.name for column in facts.look.entity), False
    fitting = [column for column in facts.look.columns if _comes_back(facts, column)]
    if not fitting:
        return (), True
    best = max(fitting, key=lambda c: (c in facts.look.key, facts.distinct([c.name])))
    return (best.name,), True


def _comes_back(facts: Facts, column: InspectedColumn) -> bool:
    named_so = column in facts.look.key or ends_as_id(column)
    if (
        column in facts.look.times
        or is_calendar(column)
        or not named_so
        or column.type not in {"string", "integer"}
    ):
        return False
    return not facts.nulls(column.name) and 1 < facts.distinct([column.name]) <= _rows(facts) / 2


def _rows(facts: Facts) -> int:
    return int(facts.table.num_rows)


def _table_entity(facts: Facts) -> Derived:
    words = "The same for all rows: an entity for features of the whole table."
    return Derived(facts.look.free(ALL), "string", words, "'all'")


def _numbers(facts: Facts) -> list[InspectedColumn]:
    roles = (*facts.look.times, *facts.look.key, *facts.look.entity)
    return [c for c in facts.look.columns if c.is_number and c not in roles]


def _measures(facts: Facts) -> list[InspectedColumn]:
    """Return the columns of numbers that vary, can be summed exactly, and measure something.

    Columns named like amounts come first, flags last. Date parts, codes, coordinates, and columns
    that number the rows or follow the time are not measures.
    """
    fitting = [
        column
        for column in _numbers(facts)
        if column.sums
        and column.max_abs is not None
        and column.name not in facts.look.personal
        and not facts.is_name(column)
        and _varies(facts, column.name)
        and not _follows_time(facts, column)
        and not _numbered(facts, column)
    ]
    return sorted(fitting, key=lambda c: (_is_flag(facts, c), not is_amount(c)))


def _follows_time(facts: Facts, column: InspectedColumn) -> bool:
    """Return True if rows with equal times share a value, as with a season or a holiday flag."""
    times = len(np.unique(facts.event_us))
    together = facts.distinct(["event_time", column.name])
    return times * 2 < _rows(facts) and together <= times * 1.01


def _numbered(facts: Facts, column: InspectedColumn) -> bool:
    """Return True if the column looks like a row number."""
    bounds = facts.range(column.name)
    rows = _rows(facts)
    return (
        column.type == "integer"
        and bounds is not None
        and facts.distinct([column.name]) == rows
        and bounds.high - bounds.low < 2 * rows
    )


def _varies(facts: Facts, name: str) -> bool:
    bounds = facts.range(name)
    return bounds is not None and bounds.low < bounds.high


def _target(facts: Facts) -> tuple[str, tuple[Derived, ...]]:
    """Return (label column with values 0 or 1, columns that the contract derives for it)."""
    column = facts.look.target or _guessed_target(facts)
    name = column.name
    if _is_flag(facts, column):
        return name, ()
    if column.type == "boolean":
        sql, label, words = f"CAST({ident(name)} AS BIGINT)", f"{name}_is_true", f"1 if {name}."
    elif column.is_number and _varies(facts, name):
        return _above_median(facts, column)
    elif column.type == "string" and (levels := facts.levels(name)) and len(levels) > 1:
        counts = {row["values"]: row["counts"] for row in _counts(facts, name)}
        level = max(levels, key=lambda level: (counts[level], level))
        sql = f"CAST({ident(name)} = {literal(level)} AS BIGINT)"
        label, words = f"{name}_is_{plain_name(level)}", f"1 if {name} is {level!r}, else 0."
    else:
        raise DeclarationError(
            f"{column.header!r} cannot be predicted: it has one value only, or too many values",
            where="--target",
            fix=f"name another column: {', '.join(c.header for c in facts.look.columns)}",
        )
    label = facts.look.free(label)
    return label, (Derived(label, "integer", words, sql, 1),)


def _counts(facts: Facts, name: str) -> list[dict[str, object]]:
    counted: list[dict[str, object]] = pc.value_counts(facts.table[name]).to_pylist()
    return counted


def _above_median(facts: Facts, column: InspectedColumn) -> tuple[str, tuple[Derived, ...]]:
    limit = facts.median(column.name)
    unit = f" (the limit is in units of 10^-{column.scale})" if column.scale else ""
    words = f"1 if {column.name} is above the median of the first file, else 0{unit}."
    sql = f"CAST({ident(column.name)} > {limit!r} AS BIGINT)"
    label = facts.look.free(f"{column.name}_high")
    return label, (Derived(label, "integer", words, sql, 1),)


def _guessed_target(facts: Facts) -> InspectedColumn:
    measures = _measures(facts)
    flags = [c for c in measures if _is_flag(facts, c)]
    numbers = [c for c in _numbers(facts) if _varies(facts, c.name)]
    booleans = [c for c in facts.look.columns if c.type == "boolean"]
    texts = [
        c
        for c in facts.look.columns
        if c.type == "string"
        and c not in (*facts.look.times, *facts.look.key, *facts.look.entity)
        and c.name not in facts.look.personal
        and not is_calendar(c)
        and len(facts.levels(c.name) or []) > 1
    ]
    for candidates in (flags, booleans, measures, texts, numbers):
        if candidates:
            return candidates[0]
    raise DeclarationError(
        "nothing to predict: besides time, key and entity the file has no column that varies",
        where=str(facts.look.ask.data),
        fix="add a column (an amount, a status, a yes or no), or name one with --target",
    )


def _is_flag(facts: Facts, column: InspectedColumn) -> bool:
    bounds = facts.range(column.name)
    return column.type == "integer" and bounds is not None and (bounds.low, bounds.high) == (0, 1)


def _horizon(gap: int, span: int) -> str:
    """Return the shortest horizon not below the usual gap between rows, at most `span` / 8."""
    fitting = [step for step in _LADDER if duration(step) * 8 <= span]
    if not fitting:
        raise DeclarationError(
            "the file covers less than eight hours",
            fix="give more history: it has to be split into training, validation and test",
        )
    return next((step for step in fitting if duration(step) >= gap), fitting[-1])


def _windows(gap: int, horizon: str) -> tuple[str, str]:
    """Return a window of at least three usual gaps and the horizon, and the next longer window."""
    minimum = max(3 * gap, duration(horizon))
    places = [n for n, (step, _) in enumerate(pairwise(_LADDER)) if duration(step) >= minimum]
    place = places[0] if places else len(_LADDER) - 2
    return _LADDER[place], _LADDER[place + 1]


def _splits(facts: Facts, matures: int, lag: str) -> tuple[str, str, str]:
    """Return ends of training, validation and test: local midnights that split rows 70:15:15."""
    zone = facts.look.ask.zone
    t = np.sort(facts.event_us) + duration(lag)
    end = _midnight(int(t[-1]), zone, 1)
    minimum = matures + DAY
    train = _midnight(int(t[int(0.7 * len(t))]), zone)
    valid = max(_midnight(int(t[int(0.85 * len(t))]), zone), _midnight(train + minimum, zone, 1))
    if valid + minimum >= end:
        valid = _midnight(end - minimum, zone)
        train = min(train, _midnight(valid - minimum, zone))
    if not int(t[0]) + minimum < train < valid < end:
        raise DeclarationError(
            "the file is too short to be split into training, validation and test",
            where=f"a label is known only {matures / DAY:.1f} days after the prediction",
            fix="give more history",
        )
    return _iso(train), _iso(valid), _iso(end)


def _midnight(us: int, zone: str, days: int = 0) -> int:
    """Return the local midnight at or before `us`, plus `days`, in microseconds UTC."""
    local = to_local(np.array([us]), zone) // DAY * DAY + days * DAY
    return int(to_utc(local, zone)[0])


def _iso(us: int) -> str:
    return from_us(us).isoformat().replace("+00:00", "Z")
