"""Faults that `verify self-test` injects, each in one part of a system.

A serving fault is a faulty serving path: it changes its rows, windows, clock or values, as a real
faulty system would. The faults share no code with the wrong rules that diagnose them.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Contract
from headrace.core.clock import DAY, HOUR, MINUTE, SECOND, from_us
from headrace.datasets.fits.fits import Fits
from headrace.datasets.fits.fitting import fit
from headrace.features.canonical import definition_hashes
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.visibility import History
from headrace.features.labels import attach_label
from headrace.features.oracle import Row
from headrace.features.spec import (
    Count,
    FeatureView,
    Lookup,
    Mean,
    Mode,
    Spine,
    Std,
    Sum,
    View,
    Window,
    output_columns,
)
from headrace.features.spines import build_spine
from headrace.features.table_shapes import Contracts
from headrace.verification.parity import ServingPath
from headrace.verification.skew.detection import CATEGORY, System
from headrace.verification.skew.replay import PublishedSoFar, TablesPath
from headrace.verification.skew.sample_system import (
    CONTRACTS,
    LABEL,
    MODE,
    ON,
    SPINE,
    START,
    VIEWS,
    SampleWorld,
    history_of,
    rows_of,
    table_of,
)

_EVER = -(2**61)
ENTITY = {"trips": "line", "plan": "stop", "gauges": "stop"}

RowEdit: TypeAlias = Callable[[SampleWorld, str, list[Row], int], list[Row]]


# Serving paths with a fault


@dataclass
class _EditedTables(PublishedSoFar):
    """Published tables whose rows are edited before the service reads them."""

    world: SampleWorld | None = None
    edit: RowEdit | None = None

    def snapshot_id(self, table: str) -> int:
        del table
        return self.until  # not the number of rows: edits may depend on the time alone

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        count = super().snapshot_id(table)
        rows = rows_of(super().rows(table, [*_names(table), *columns], count))
        assert self.world is not None
        assert self.edit is not None
        return table_of(table, self.edit(self.world, table, rows, snapshot_id))


def _names(table: str) -> list[str]:
    return [field.name for field in CONTRACTS[table].fields]


def by_rows(edit: RowEdit) -> System:
    """Return a system whose feature service reads rows changed by `edit`."""

    def path(world: SampleWorld, types: pa.Schema) -> ServingPath:
        serving = TablesPath(SPINE, VIEWS, CONTRACTS, world.history, types, MODE)
        tables = _EditedTables(world.history, CONTRACTS, MODE, world=world, edit=edit)
        serving.published = tables
        serving.service.published = tables  # type: ignore[attr-defined]
        return serving

    return System(path=path)


@dataclass
class OwnPath:
    """Serving path that answers with `answer(self, points)`, over the rows published so far."""

    world: SampleWorld
    answer: Callable[["OwnPath", pa.Table], pa.Table]
    until: int = _EVER

    def publish(self, until: int) -> None:
        self.until = until

    def serve(self, points: pa.Table) -> pa.Table:
        return self.answer(self, points)

    def rows(self, table: str) -> list[Row]:
        return [row for row in self.world.rows[table] if row["committed_at"] <= self.until]

    def frame(
        self,
        points: pa.Table,
        views: Sequence[View] = VIEWS,
        rows: Callable[[str], Sequence[Row]] | None = None,
        contracts: Mapping[str, Contract] = CONTRACTS,
    ) -> pa.Table:
        features = training_frame(points, views, history_of(rows or self.rows), contracts, MODE)
        return features.select(output_columns(list(views)))


def with_answer(answer: Callable[[OwnPath, pa.Table], pa.Table]) -> System:
    return System(path=lambda world, _: OwnPath(world, answer))


def one_by_one(answer: Callable[[OwnPath, pa.Table, int], pa.Table]) -> System:
    """Return a system that answers each point separately, with `answer(path, point, t)`."""

    def all_of(path: OwnPath, points: pa.Table) -> pa.Table:
        t = points["t"].to_pylist()
        return pa.concat_tables([answer(path, points.slice(n, 1), at) for n, at in enumerate(t)])

    return with_answer(all_of)


def with_windows(alter: Callable[[Window], Window]) -> System:
    views = tuple(_rewindowed(view, alter) for view in VIEWS)
    return with_answer(lambda path, points: path.frame(points, views))


def _rewindowed(view: View, alter: Callable[[Window], Window]) -> View:
    if not isinstance(view, FeatureView):
        return view
    features = tuple(replace(f, window=alter(f.window)) for f in view.features)
    return replace(view, features=features)


def with_values(alter: Callable[[pa.Array], pa.Array]) -> System:
    def answer(path: OwnPath, points: pa.Table) -> pa.Table:
        right = path.frame(points)
        columns = [alter(column.combine_chunks()) for column in right.columns]
        return pa.table(columns, names=right.column_names)

    return with_answer(answer)


def latest(rows: Sequence[Row], t: int) -> list[Row]:
    """Return each key's newest version known by `t`, without deleted keys, in order of arrival."""
    newest: dict[int, Row] = {}
    for row in rows:
        if max(row["known_at"], row["committed_at"]) <= t and (
            row["id"] not in newest or row["known_at"] >= newest[row["id"]]["known_at"]
        ):
            newest[row["id"]] = row
    live = {id(row) for row in newest.values() if not row["_deleted"]}
    return [row for row in rows if id(row) in live]


# Edits of rows


def _per_entity(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    del world, until
    number = {name: n for n, name in enumerate(("A", "B", "C", "D", "north", "south", None))}
    return [{**row, "id": row["id"] * 10 + number[row[ENTITY[table]]]} for row in rows]


def _append_only(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    del world, table, until
    return [{**row, "id": n} for n, row in enumerate(rows) if not row["_deleted"]]


def _in_place(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    del world, table
    return latest(rows, until)


def _berlin(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    del world, table, until
    zone = ZoneInfo("Europe/Berlin")

    def off(us: int) -> int:
        local = from_us(us).astimezone(zone).utcoffset()
        return int(local.total_seconds()) * SECOND if local is not None else 0

    return [{**row, "event_time": row["event_time"] + off(row["event_time"])} for row in rows]


def _zeros(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    del world, until
    numeric = {f.name: f for f in CONTRACTS[table].fields if f.type in {"integer", "number"}}

    def filled(name: str, value: Any) -> Any:  # noqa: ANN401
        if value is not None or name not in numeric:
            return value
        return 0.0 if pa.types.is_float64(numeric[name].arrow_type) else 0

    return [{name: filled(name, value) for name, value in row.items()} for row in rows]


def _keep(test: Callable[[Row], bool]) -> System:
    return by_rows(lambda _, __, rows, ___: [row for row in rows if test(row)])


def _set(edit: Callable[[Row], Row]) -> System:
    return by_rows(lambda _, __, rows, ___: [edit(row) for row in rows])


def _ungated(world: SampleWorld, table: str, rows: list[Row], until: int) -> list[Row]:
    quarantined = [row for row in world.rejected_rows[table] if row["committed_at"] <= until]
    return sorted([*rows, *quarantined], key=lambda row: row["committed_at"])


# Answers


def _filtered_first(path: OwnPath, points: pa.Table) -> pa.Table:
    right = path.frame(points)
    for view in [view for view in VIEWS if isinstance(view, FeatureView)]:
        for feature in view.features:
            if feature.where == ON:
                single = replace(view, features=(feature,))
                computed = path.frame(
                    points, [single], lambda t: [r for r in path.rows(t) if _is_on(t, r)]
                )
                name = single.outputs[0]
                right = right.set_column(right.column_names.index(name), name, computed[name])
    return right


def _is_on(table: str, row: Row) -> bool:
    return table != "trips" or row["status"] == "on"


def _nulls_match(path: OwnPath, points: pa.Table) -> pa.Table:
    def filled(column: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.fill_null(column, "nowhere") if pa.types.is_string(column.type) else column

    filled_points = pa.table([filled(c) for c in points.columns], names=points.column_names)

    def rows(table: str) -> list[Row]:
        key = ENTITY[table]
        return [{**row, key: row[key] or "nowhere"} for row in path.rows(table)]

    return path.frame(filled_points, VIEWS, rows)


def _ties(path: OwnPath, point: pa.Table, t: int) -> pa.Table:
    def rows(table: str) -> list[Row]:
        return [{**row, "id": n} for n, row in enumerate(latest(path.rows(table), t))]

    return path.frame(point, VIEWS, rows)


def _ageless(path: OwnPath, points: pa.Table) -> pa.Table:
    views = [replace(v, max_age=None) if isinstance(v, Lookup) else v for v in VIEWS]
    return path.frame(points, views)


def _in_cents(path: OwnPath, points: pa.Table) -> pa.Table:
    raw = {
        name: replace(
            contract,
            columns=tuple(
                replace(f, scale=0 if f.scale is not None else None) for f in contract.columns
            ),
        )
        for name, contract in CONTRACTS.items()
    }
    return path.frame(points, VIEWS, None, raw)


def _slow_clock(path: OwnPath, points: pa.Table) -> pa.Table:
    late = pc.subtract(points["t"], 5 * MINUTE)
    return path.frame(points.set_column(points.column_names.index("t"), "t", late))


def _over_n(path: OwnPath, points: pa.Table) -> pa.Table:
    counted = [
        replace(
            view,
            features=tuple(
                Count(f.column, f.window, f.where, f.name) if isinstance(f, Std) else f
                for f in view.features
            ),
        )
        if isinstance(view, FeatureView)
        else view
        for view in VIEWS
    ]
    right, numbers = path.frame(points), path.frame(points, counted)
    for view in VIEWS:
        for feature in view.features if isinstance(view, FeatureView) else ():
            if isinstance(feature, Std):
                name = f"{view.name}__{feature.name}"
                n = numbers[name].to_numpy().astype(float)
                over_n = np.sqrt(np.maximum(n - 1, 0) / np.maximum(n, 1))
                shrunk = np.where(n == 1, 0.0, right[name].to_numpy() * over_n)
                place = right.column_names.index(name)
                right = right.set_column(place, name, pa.array(shrunk, from_pandas=True))
    return right


_FLOATS: dict[type, Callable[[list[float]], float]] = {
    Sum: lambda values: float(sum(values)),
    Mean: lambda values: float(sum(values)) / len(values),
    Std: lambda values: float(np.std(np.array(values), ddof=1)),
}


def _float_sums(path: OwnPath, point: pa.Table, t: int) -> pa.Table:
    """Aggregate fares as floats in a random order."""
    right, line = path.frame(point), point["line"][0].as_py()
    rows = [row for row in latest(path.rows("trips"), t) if row["line"] == line]
    random.Random(t).shuffle(rows)  # noqa: S311
    view = VIEWS[0]
    assert isinstance(view, FeatureView)
    for feature in view.features:
        how = _FLOATS.get(type(feature))
        name = f"{view.name}__{feature.name}"
        if how is None or right[name][0].as_py() is None or feature.column != "fare":
            continue
        start, end = t + feature.window.a, t + feature.window.b
        inside = [r["fare"] for r in rows if start <= r["event_time"] < end]
        values = [q / 100 for q in inside if q is not None]
        column = pa.array([how(values)], pa.float64())
        right = right.set_column(right.column_names.index(name), name, column)
    return right


def _short_lived(path: OwnPath, point: pa.Table, t: int) -> pa.Table:
    def rows(table: str) -> list[Row]:
        return [row for row in path.rows(table) if t - row["event_time"] < 5 * HOUR]

    return path.frame(point, VIEWS, rows)


def _tiled(path: OwnPath, point: pa.Table, t: int) -> pa.Table:
    """Use rows in complete hours as stored so far, and all other rows as known at t."""
    columns: dict[str, pa.ChunkedArray] = {}
    for view in VIEWS:
        if not isinstance(view, FeatureView):
            columns |= _columns_by_name(path.frame(point, [view]))
            continue
        for window in dict.fromkeys(feature.window for feature in view.features):
            features = tuple(f for f in view.features if f.window == window)
            part = replace(view, features=features)
            columns |= _columns_by_name(path.frame(point, [part], _tile_rows(path, window, t)))
    return pa.table({name: columns[name] for name in output_columns(list(VIEWS))})


def _columns_by_name(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _tile_rows(path: OwnPath, window: Window, t: int) -> Callable[[str], list[Row]]:
    first = -(-(t + window.a) // HOUR) * HOUR
    end = (t + window.b) // HOUR * HOUR

    def rows(table: str) -> list[Row]:
        so_far = path.rows(table)
        now = [r for r in latest(so_far, t) if not first <= r["event_time"] < end]
        then = [r for r in latest(so_far, path.until) if first <= r["event_time"] < end]
        both = [*now, *({**r, "known_at": _EVER, "committed_at": _EVER} for r in then)]
        return [{**row, "id": n} for n, row in enumerate(both)]

    return rows


def _hourly(path: OwnPath, point: pa.Table, t: int) -> pa.Table:
    views = [
        _rewindowed(view, lambda w: Window(f"{(t + w.a) // HOUR * HOUR - t}us", f"{w.b}us"))
        for view in VIEWS
    ]
    return path.frame(point, views)


# Training, spines, labels, fits


def training_over(edit: Callable[[list[Row]], list[Row]]) -> System:
    """Return a system whose training reads tables changed by `edit`."""

    def frame(
        spine: pa.Table,
        views: Sequence[View],
        history: History,
        contracts: Contracts,
        mode: Mode,
    ) -> pa.Table:
        def edited(table: str, columns: list[str]) -> pa.Table:
            return table_of(table, edit(rows_of(_all_columns(history, table, columns))))

        return training_frame(spine, views, edited, contracts, mode)

    return System(frame=frame)


def _all_columns(history: History, table: str, columns: list[str]) -> pa.Table:
    return history(table, list(dict.fromkeys([*_names(table), *columns])))


def _updated(rows: list[Row]) -> list[Row]:
    """Return the rows of a warehouse that updates in place but keeps the original dates."""
    first: dict[int, Row] = {}
    for row in sorted(rows, key=lambda row: row["committed_at"]):
        first.setdefault(row["id"], row)
    dates = ("known_at", "committed_at")
    return [
        {**row, **{name: first[row["id"]][name] for name in dates}} for row in latest(rows, 2**61)
    ]


def _undated(rows: list[Row]) -> list[Row]:
    return [{**row, "known_at": _EVER, "committed_at": _EVER} for row in latest(rows, 2**61)]


def _encoded(
    spine: pa.Table,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    mode: Mode,
) -> pa.Table:
    """Return a frame with a leak: the target mean of each line over all time."""
    frame = training_frame(spine, views, history, contracts, mode)
    by_line: dict[str, list[int]] = {}
    for row in latest(rows_of(_all_columns(history, "trips", [])), 2**61):
        if row["line"] is not None and row["late"] is not None:
            by_line.setdefault(row["line"], []).append(row["late"])
    means = {line: sum(values) / len(values) for line, values in by_line.items()}
    column = pa.array([means.get(line) for line in frame["line"].to_pylist()], pa.float64())
    name = "target__late_mean_1d"
    return frame.set_column(frame.column_names.index(name), name, column)


def _spine_of_today(spec: Spine, history: History, contracts: Contracts, mode: Mode) -> pa.Table:
    """Return a spine of the rows known at the time, but with today's column values."""
    spine = build_spine(spec, history, contracts, mode)
    today = {
        row["id"]: row for row in latest(rows_of(_all_columns(history, spec.table, [])), 2**61)
    }
    for name in spec.columns:
        values = [
            today[key][name] if key in today else old
            for key, old in zip(spine["id"].to_pylist(), spine[name].to_pylist(), strict=True)
        ]
        place = spine.column_names.index(name)
        spine = spine.set_column(place, name, pa.array(values, spine[name].type))
    return spine


def _label_when_there(world: SampleWorld, frame: pa.Table, cut: int) -> pa.Table:
    """Attach labels that wrongly count as mature as soon as there is an outcome."""
    right = attach_label(frame, LABEL, world.history, CONTRACTS, cut, MODE)
    history = history_of(lambda table: latest(world.rows[table], cut))
    eager = attach_label(frame, LABEL, history, CONTRACTS, 2**60, MODE)
    early = pc.and_(
        pc.equal(pc.fill_null(right["label_reason"], ""), "immature"),
        pc.is_null(eager["label_reason"]),
    )
    for name in LABEL.outputs:
        column = pc.if_else(early, eager[name], right[name])
        right = right.set_column(right.column_names.index(name), name, column)
    return right


def _label_of_today(world: SampleWorld, frame: pa.Table, cut: int) -> pa.Table:
    right = attach_label(frame, LABEL, world.history, CONTRACTS, cut, MODE)
    today = attach_label(frame, LABEL, world.history, CONTRACTS, 2**60, MODE)
    immature = pc.equal(pc.fill_null(right["label_reason"], ""), "immature")
    for name in LABEL.outputs:
        column = pc.if_else(immature, right[name], today[name])
        right = right.set_column(right.column_names.index(name), name, column)
    return right


def _fit_on_all(frame: pa.Table, train: Ints) -> Fits:
    del train
    return fit(frame, (CATEGORY,))


def _refit(frame: pa.Table, trained: Fits) -> Fits:
    del trained
    return fit(frame, (CATEGORY,))


def _two_days(window: Window) -> Window:
    return Window("-2d") if window.a == -DAY else window


def _redefined() -> System:
    views = tuple(_rewindowed(view, _two_days) for view in VIEWS)
    return replace(with_windows(_two_days), definitions=definition_hashes(SPINE, views, CONTRACTS))


def _us(us: int) -> str:
    return f"{us}us"


FAULTS: dict[str, System] = {
    "stale store": _keep(lambda row: row["committed_at"] < START + 40 * HOUR),
    "inclusive edge": with_windows(lambda w: Window(_us(w.a), _us(w.b + 1))),
    "exclusive start": with_windows(lambda w: Window(_us(w.a + 1), _us(w.b))),
    "float sum": one_by_one(_float_sums),
    "wrong zone": by_rows(_berlin),
    "millisecond truncation": _set(
        lambda row: {**row, "event_time": row["event_time"] // 1000 * 1000}
    ),
    "dropped late event": _keep(lambda row: row["known_at"] - row["event_time"] < 3 * HOUR),
    "time watermark": _keep(lambda row: row["committed_at"] - row["known_at"] < HOUR),
    "TTL": one_by_one(_short_lived),
    "changed definition": _redefined(),
    "null coded as 0": by_rows(_zeros),
    "null served as 0": with_values(
        lambda column: (
            column
            if pa.types.is_string(column.type)
            else pc.fill_null(column, 0.0 if pa.types.is_float64(column.type) else 0)
        )
    ),
    "index by entity": by_rows(_per_entity),
    "tile bound": one_by_one(_tiled),
    "tile edge": one_by_one(_hourly),
    "overwriting in place": by_rows(_in_place),
    "filter before resolve": with_answer(_filtered_first),
    "tombstone ignored": _keep(lambda row: not row["_deleted"]),
    "corrections add up": by_rows(_append_only),
    "null entity matches": with_answer(_nulls_match),
    "ties by arrival": one_by_one(_ties),
    "max_age ignored": with_answer(_ageless),
    "planned rows dropped": _keep(lambda row: row["event_time"] <= row["committed_at"]),
    "arrival as event time": _set(lambda row: {**row, "event_time": row["committed_at"]}),
    "looser gate": by_rows(_ungated),
    "wrong unit": with_answer(_in_cents),
    "float32": with_values(
        lambda column: (
            column.cast(pa.float32()).cast(pa.float64())
            if pa.types.is_float64(column.type)
            else column
        )
    ),
    "clock": with_answer(_slow_clock),
    "population std": with_answer(_over_n),
    "future correction": training_over(_updated),
    "known-at ignored": training_over(_undated),
    "global target encoding": System(frame=_encoded),
    "spine column from the future": System(spine=_spine_of_today),
    "label by presence": System(label=_label_when_there),
    "label read as of today": System(label=_label_of_today),
    "fitted on all rows": System(fit=_fit_on_all),
    "refitted transform": System(served_fit=_refit),
}
