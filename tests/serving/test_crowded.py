"""Entities that come near `maxEvents` are named by `headrace run` and `headrace status`."""

from dataclasses import replace

import pytest

from headrace.cli.project import status
from headrace.features import FeatureView
from headrace.reports.event_limits import crowded_windows
from headrace.reports.status import overview


def limited(pipeline, most):
    tables = [replace(t, contract=replace(t.contract, max_events=most)) for t in pipeline.tables]
    return replace(pipeline, tables=tuple(tables))


def fullest_by_hand(full, view):
    """Every window that begins at a row, counted one by one."""
    from headrace.lake.tables.history import history

    rows = history(full.home, view.table, list(view.entity)).to_pylist()
    length = max(f.window.b - f.window.a for f in view.features)
    found = []
    for first in rows:
        waited = [
            (row["event_time"] - first["event_time"]).total_seconds() * 10**6
            for row in rows
            if all(row[name] == first[name] for name in view.entity)
        ]
        found.append(sum(0 <= us < length for us in waited))
    return max(found)


@pytest.mark.parametrize("view", [0, 1, 2])
def test_the_fullest_window_is_that_of_a_count_by_hand(full, view):
    view = full.pipeline.views[view]
    assert isinstance(view, FeatureView)
    most = fullest_by_hand(full, view)
    limit = int(most / 0.8)
    for declared, named in ((most, True), (limit, True), (int(most / 0.7), False)):
        rows = crowded_windows([limited(full.pipeline, declared)], full.home)
        mine = [row for row in rows if row["view"] == view.name]
        assert [row["rows"] for row in mine] == [most] * named
        if named:
            assert f"{most} rows within" in mine[0]["says"]
            assert f"maxEvents is {declared}" in mine[0]["says"]


def test_status_names_them_and_is_silent_without(full, capsys):
    found = overview([limited(full.pipeline, 50)], full.home)
    assert {row["view"] for row in found["crowded"]} >= {"line"}
    status.show(found)
    assert "are null there" in capsys.readouterr().out
    assert overview([full.pipeline], full.home)["crowded"] == []


def test_a_table_of_few_rows_is_not_read(full, monkeypatch):
    monkeypatch.setattr("headrace.lake.tables.lake.Lake.scan", None)
    assert crowded_windows([full.pipeline], full.home) == []
