"""Wrong rules that real systems are known to follow, in order of preference.

If possible, a rule is the oracle applied to changed rows, windows or times. For a parameter, such
as the lag of a store, it is enough to try the values at which the result of a case changes.
"""

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from headrace.core.clock import DAY, HOUR, MINUTE, SECOND
from headrace.features import oracle
from headrace.features.oracle import Row
from headrace.features.output_types import output_types
from headrace.features.spec import Count, Lookup, Std, Window
from headrace.features.spec import conditions as conditions_of
from headrace.verification.parity_diagnosis.hypotheses import DiagnosisCase, Hypothesis, answer

Answer: TypeAlias = dict[str, Any]
_LONG_AGO, _NEVER = -(2**61), 2**61
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONES = ("America/New_York", "Europe/Berlin", "Europe/London", "Asia/Kolkata", "Asia/Tokyo")
_TILES = (MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY)
_CLOCKS = [sign * step for step in (1, 5, 10, 30, 60, 120, 300, 600, 900) for sign in (-1, 1)]
_LENGTHS = [n * HOUR for n in (1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 672)]


# Changed cases


def _by_rows(
    alter: Callable[[DiagnosisCase, Any], Sequence[Row]],
) -> Callable[[DiagnosisCase, Any], Answer]:
    return lambda case, parameter: answer(replace(case, rows=alter(case, parameter)))


def _by_row(alter: Callable[[Row, Any], Row]) -> Callable[[DiagnosisCase, Any], Answer]:
    return _by_rows(lambda case, parameter: [alter(row, parameter) for row in case.rows])


def _by_window(
    alter: Callable[[DiagnosisCase, Window, Any], Window],
) -> Callable[[DiagnosisCase, Any], Answer]:
    def wrong(case: DiagnosisCase, parameter: Any) -> Answer:  # noqa: ANN401 - each rule has its own unknown
        if isinstance(case.view, Lookup):
            return answer(case)
        features = [replace(f, window=alter(case, f.window, parameter)) for f in case.view.features]
        return answer(replace(case, view=replace(case.view, features=tuple(features))))

    return wrong


def _by_feature(
    rows: Callable[[DiagnosisCase, Any, Any], DiagnosisCase],
) -> Callable[[DiagnosisCase, Any], Answer]:
    """Return a rule that computes each feature of a view over a separately changed case."""

    def wrong(case: DiagnosisCase, parameter: Any) -> Answer:  # noqa: ANN401
        if isinstance(case.view, Lookup):
            return answer(case)
        outputs: Answer = {}
        for feature in case.view.features:
            single = replace(case, view=replace(case.view, features=(feature,)))
            outputs |= answer(rows(single, feature, parameter))
        return outputs

    return wrong


def _by_value(
    alter: Callable[[DiagnosisCase, str, Any], Any],
) -> Callable[[DiagnosisCase, Any], Answer]:
    return lambda case, _: {name: alter(case, name, v) for name, v in answer(case).items()}


def _at(case: DiagnosisCase, t: int) -> DiagnosisCase:
    return replace(case, spine={**case.spine, "t": t})


def _window(a: int, b: int) -> Window:
    return Window(f"{a}us", f"{b}us")


def usable(row: Row, case: DiagnosisCase) -> int:
    return oracle.usable_at(row, case.mode)


def _arrived(case: DiagnosisCase, rows: Iterable[Row]) -> DiagnosisCase:
    """Return the case with a unique key for each row, numbered in the order of the rows."""
    numbered = [{**row, "_arrival": n} for n, row in enumerate(rows)]
    shape = replace(case.shape, primary_key=("_arrival",), sequence=None)
    return replace(case, rows=numbered, shape=shape)


def _final(case: DiagnosisCase, until: int = _NEVER) -> list[Row]:
    """Return the final version of each key, as if it had always been known."""
    return [
        {**row, "known_at": _LONG_AGO, "committed_at": _LONG_AGO}
        for row in oracle.resolve(case.rows, case.shape, until, case.mode)
    ]


# The rules


def _index_by_entity(case: DiagnosisCase, _: object) -> Answer:
    keys = tuple(dict.fromkeys((*case.shape.primary_key, *case.view.entity)))
    return answer(replace(case, shape=replace(case.shape, primary_key=keys)))


def _first_known(case: DiagnosisCase, _: object) -> list[Row]:
    """Return the final version of each key, with the availability dates of its first version."""
    first: dict[tuple[Any, ...], Row] = {}
    for row in case.rows:
        key = oracle.primary_key(row, case.shape)
        if key not in first or usable(row, case) < usable(first[key], case):
            first[key] = row
    versions = []
    for row in oracle.resolve(case.rows, case.shape, _NEVER, case.mode):
        dates = first[oracle.primary_key(row, case.shape)]
        versions.append({**row, **{name: dates[name] for name in _dates(row)}})
    return versions


def _dates(row: Row) -> list[str]:
    return [name for name in ("known_at", "committed_at") if name in row]


def _filtered_first(case: DiagnosisCase, feature: Any, _: object) -> DiagnosisCase:  # noqa: ANN401
    filtered = [row for row in case.rows if oracle.passes_filter(feature.where, row, case.shape)]
    return replace(case, rows=filtered) if conditions_of(feature.where) else case


def _ties_by_arrival(case: DiagnosisCase, _: object) -> Answer:
    """Order rows with the same event time by arrival."""
    return answer(_arrived(case, oracle.resolve(case.rows, case.shape, case.t, case.mode)))


def _without_tombstones(case: DiagnosisCase, _: object) -> list[Row]:
    return [row for row in case.rows if not row.get("_deleted")]


def _tile_bound(case: DiagnosisCase, feature: Any, tile: int) -> DiagnosisCase:  # noqa: ANN401
    """Use rows in complete tiles as stored at the frontier, and all other rows as known at t."""
    start = -(-(case.t + feature.window.a) // tile) * tile
    end = (case.t + feature.window.b) // tile * tile
    edges = [
        row
        for row in oracle.resolve(case.rows, case.shape, case.t, case.mode)
        if not start <= row["event_time"] < end
    ]
    tiled = [row for row in _final(case, case.frontier) if start <= row["event_time"] < end]
    return _arrived(case, [*edges, *tiled])


def _nulls_match(case: DiagnosisCase, _: object) -> Answer:
    names = set(case.view.entity)
    rows = [{n: _null_as_text(v) if n in names else v for n, v in row.items()} for row in case.rows]
    spine = {n: v if n == "t" else _null_as_text(v) for n, v in case.spine.items()}
    return answer(replace(case, rows=rows, spine=spine))


def _null_as_text(value: object) -> object:
    return "(null)" if value is None else value


def _null_as_zero(case: DiagnosisCase, _: object) -> list[Row]:
    return [
        {name: _zero(case, name) if value is None else value for name, value in row.items()}
        for row in case.rows
    ]


def _zero(case: DiagnosisCase, name: str) -> float | int | None:
    column = case.shape.columns.get(name)
    if column is None or name in case.view.entity or name == case.shape.sequence:
        return None
    return {"int64": 0, "double": 0.0}.get(str(column.type))


def _unscaled(case: DiagnosisCase, _: object) -> Answer:
    """Use stored (scaled) integers as if they were values in the column's unit."""
    columns = {
        name: replace(column, scale=0 if column.scale is not None else None)
        for name, column in case.shape.columns.items()
    }
    return answer(replace(case, shape=replace(case.shape, columns=columns)))


def _float32(case: DiagnosisCase, name: str, value: Any) -> Any:  # noqa: ANN401, ARG001
    if not isinstance(value, float):
        return value
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _no_null(case: DiagnosisCase, name: str, value: Any) -> Any:  # noqa: ANN401
    return {"int64": 0, "double": 0.0}.get(_type_of(case, name)) if value is None else value


def _type_of(case: DiagnosisCase, name: str) -> str:
    """Return the type of an output of the case's view."""
    if isinstance(case.view, Lookup):
        kinds = [case.shape.columns[column].output_type for column in case.view.columns]
    else:
        kinds = [kind for f in case.view.features for kind in output_types(f, case.shape, f.name)]
    return str(kinds[case.view.outputs.index(name)])


def _population_std(case: DiagnosisCase, _: object) -> Answer:
    if isinstance(case.view, Lookup):
        return answer(case)
    counts = tuple(
        Count(f.column, f.window, f.where, f.name) if isinstance(f, Std) else f
        for f in case.view.features
    )
    outputs, n = answer(case), answer(replace(case, view=replace(case.view, features=counts)))
    for feature in case.view.features:
        name = f"{case.view.name}__{feature.name}"
        if isinstance(feature, Std) and n[name]:
            spread = outputs[name] or 0.0
            outputs[name] = spread * math.sqrt((n[name] - 1) / n[name])
    return outputs


def _in_zone(row: Row, name: str) -> Row:
    """Shift the event time as if the local clock of time zone `name` were read as UTC."""
    moment = _EPOCH + timedelta(microseconds=row["event_time"])
    offset = moment.astimezone(ZoneInfo(name)).utcoffset() or timedelta()
    return {**row, "event_time": row["event_time"] + offset // timedelta(microseconds=1)}


def _shift(*names: str) -> Callable[[Row, int], Row]:
    return lambda row, by: {**row, **{n: row[n] + by for n in names if n in row}}


def _cut(*names: str) -> Callable[[Row, int], Row]:
    return lambda row, unit: {**row, **{n: row[n] // unit * unit for n in names if n in row}}


def _truncated(case: DiagnosisCase, unit: int) -> Answer:
    """Truncate all times to `unit` microseconds, including the prediction time."""
    cut = _cut("event_time", "known_at", "committed_at")
    rows = [cut(row, unit) for row in case.rows]
    return answer(_at(replace(case, rows=rows), case.t // unit * unit))


def _floored_window(case: DiagnosisCase, window: Window, tile: int) -> Window:
    a = (case.t + window.a) // tile * tile - case.t
    return _window(a, window.b) if a < window.b else window


def _raised_window(case: DiagnosisCase, window: Window, tile: int) -> Window:
    a = -(-(case.t + window.a) // tile) * tile - case.t
    return _window(a, window.b) if a < window.b else window


def _floored_both(case: DiagnosisCase, window: Window, tile: int) -> Window:
    a, b = ((case.t + edge) // tile * tile - case.t for edge in (window.a, window.b))
    return _window(a, b) if a < b else window


# Parameters


def _candidates(*values: object) -> Callable[[Sequence[DiagnosisCase]], Iterable[Any]]:
    return lambda _: values


_HALF_HOURS = [sign * n * 30 * MINUTE for n in range(1, 29) for sign in (1, -1)]
_TIMES = ("event_time", "known_at", "committed_at")


def _kept_below(
    name: str, description: str, limit: Callable[[DiagnosisCase, Row], int]
) -> Hypothesis:
    """Return a rule that keeps only rows for which `limit` is below an unknown bound."""
    wrong = _by_rows(lambda case, bound: [row for row in case.rows if limit(case, row) < bound])
    return Hypothesis(name, description, wrong, limit=limit)


HYPOTHESES: tuple[Hypothesis, ...] = (
    Hypothesis(
        "inclusive edge",
        "a window counts an event at exactly its end",
        _by_window(lambda _, w, __: _window(w.a, w.b + 1)),
    ),
    Hypothesis(
        "exclusive start",
        "a window leaves out an event at exactly its start",
        _by_window(lambda _, w, shift: _window(w.a + 1, w.b + shift)),
        _candidates(0, 1),
    ),
    Hypothesis(
        "index by entity",
        "a version that moved to another entity did not replace the old one",
        _index_by_entity,
    ),
    Hypothesis(
        "filter before resolve",
        "a correction that fails the filter does not remove the old version",
        _by_feature(_filtered_first),
    ),
    Hypothesis("tombstone ignored", "deleted rows still count", _by_rows(_without_tombstones)),
    Hypothesis(
        "corrections add up",
        "a correction counts in addition to the corrected row",
        lambda case, _: answer(_arrived(case, case.rows)),
    ),
    Hypothesis(
        "overwriting in place",
        "only the last version of a key was kept",
        _by_rows(lambda case, _: oracle_last(case)),
    ),
    Hypothesis(
        "future correction",
        "corrections count from when their original was known",
        _by_rows(_first_known),
    ),
    Hypothesis(
        "known-at ignored", "facts count before they were known", _by_rows(lambda c, _: _final(c))
    ),
    Hypothesis("null coded as 0", "null was read as 0", _by_rows(_null_as_zero)),
    Hypothesis("null served as 0", "null features were served as 0", _by_value(_no_null)),
    Hypothesis("null entity matches", "a null entity matched null entities", _nulls_match),
    Hypothesis(
        "ties by arrival", "rows with the same event time were ordered by arrival", _ties_by_arrival
    ),
    Hypothesis(
        "max_age ignored",
        "an expired state was served",
        lambda case, _: answer(
            replace(case, view=replace(case.view, max_age=None))
            if isinstance(case.view, Lookup)
            else case
        ),
    ),
    Hypothesis(
        "planned rows dropped",
        "rows that happen after they are known were dropped",
        _by_rows(lambda c, _: [row for row in c.rows if row["event_time"] <= usable(row, c)]),
    ),
    Hypothesis(
        "arrival as event time",
        "the time of arrival was used as event time",
        _by_rows(lambda c, _: [{**row, "event_time": usable(row, c)} for row in c.rows]),
    ),
    Hypothesis(
        "looser gate",
        "rows that the gate quarantined were served",
        _by_rows(lambda case, _: [*case.rows, *case.extra]),
    ),
    Hypothesis("wrong unit", "stored (scaled) integers were used as values", _unscaled),
    Hypothesis("float32", "values went through 32 bits", _by_value(_float32)),
    Hypothesis(
        "millisecond truncation",
        "times were cut to milliseconds",
        lambda case, columns: (
            _truncated(case, 1000) if columns is None else _cut_rows(case, columns)
        ),
        _candidates(None, ("event_time",), ("event_time", "known_at"), _TIMES),
    ),
    Hypothesis(
        "second truncation",
        "times were cut to seconds",
        _by_row(_cut("event_time")),
        _candidates(SECOND),
    ),
    Hypothesis(
        "wrong zone", "a local clock was read as UTC", _by_row(_in_zone), _candidates(*_ZONES)
    ),
    Hypothesis(
        "wrong zone",
        "event times are off by the offset of a time zone",
        _by_row(_shift("event_time")),
        _candidates(*_HALF_HOURS),
    ),
    Hypothesis(
        "wrong zone",
        "all times are off by the offset of a time zone",
        _by_row(_shift(*_TIMES)),
        _candidates(*_HALF_HOURS),
    ),
    _kept_below(
        "dropped late event",
        "rows known too long after they happened were dropped",
        lambda _, row: int(row["known_at"] - row["event_time"]),
    ),
    _kept_below(
        "time watermark",
        "rows that came after their time range was loaded were never loaded",
        lambda _, row: int(row.get("committed_at", row["known_at"]) - row["known_at"]),
    ),
    _kept_below(
        "TTL",
        "rows older than a time to live were missing",
        lambda case, row: int(case.t - row["event_time"]),
    ),
    _kept_below(
        "TTL",
        "rows older than a time to live were missing in the store",
        lambda case, row: int(case.frontier - row["event_time"]),
    ),
    _kept_below("stale store", "the store stopped updating", lambda c, row: usable(row, c)),
    _kept_below(
        "stale store",
        "the store was behind by a fixed time",
        lambda case, row: usable(row, case) - case.t,
    ),
    Hypothesis(
        "tile bound",
        "whole tiles counted facts that were not known yet",
        _by_feature(_tile_bound),
        _candidates(*_TILES),
    ),
    *(
        Hypothesis("tile edge", "windows were cut to tiles", _by_window(how), _candidates(*_TILES))
        for how in (_floored_window, _raised_window, _floored_both)
    ),
    Hypothesis(
        "clock",
        "another prediction time was used",
        lambda case, by: answer(_at(case, case.t + by * SECOND)),
        _candidates(*_CLOCKS),
    ),
    Hypothesis(
        "clock",
        "the prediction time was cut to a unit",
        lambda case, unit: answer(_at(case, case.t // unit * unit)),
        _candidates(SECOND, MINUTE, HOUR, DAY),
    ),
    Hypothesis(
        "global target encoding",
        "a mean over all time was used, including the future",
        lambda case, _: _by_window(lambda *__: _window(-(50 * 365) * DAY, 50 * 365 * DAY))(
            replace(case, rows=_final(case)), None
        ),
    ),
    Hypothesis(
        "another window",
        "windows have another length",
        _by_window(lambda _, w, length: _window(w.b - length, w.b)),
        _candidates(*_LENGTHS),
    ),
    Hypothesis(
        "population std",
        "the standard deviation was divided by n, not n - 1",
        _population_std,
        close=True,
    ),
    Hypothesis(
        "float sum",
        "floats were summed in another order",
        lambda case, _: answer(case),
        close=True,
    ),
)


def oracle_last(case: DiagnosisCase) -> list[Row]:
    """Return the rows current at the frontier, as in a table that overwrites earlier versions."""
    current = oracle.resolve(case.rows, case.shape, case.frontier, case.mode)
    numbers = {id(row) for row in current}
    return [row for row in case.rows if id(row) in numbers]


def _cut_rows(case: DiagnosisCase, names: tuple[str, ...]) -> Answer:
    return answer(replace(case, rows=[_cut(*names)(row, 1000) for row in case.rows]))


def described(name: str) -> str:
    """Return the description of a cause."""
    return next(
        (hypothesis.description for hypothesis in HYPOTHESES if hypothesis.name == name), ""
    )
