"""Where released columns come from: by declaration, and by changing what they come from."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.datasets import Store, open_release
from headrace.datasets.column_lineage import Declared, column_lineage
from headrace.features import Host
from headrace.features.spec import RowTransform
from headrace.pipeline import build_release
from headrace.pipeline.build import labelled_frame
from headrace.pipeline.build_context import BuildContext
from pipelines.flights import PIPELINE as FLIGHTS
from tests.serving.world import DAYS, World


def declared(pipeline, privacy=None):
    return Declared(
        pipeline.spine, pipeline.views, pipeline.label, pipeline.contracts, privacy or {}
    )


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("grown"))
    world.deliver_days(DAYS[:12])
    world.publish()
    build_release(world.pipeline, world.home)
    return world


def test_every_released_column_of_the_flights_has_its_sources():
    found = column_lineage(declared(FLIGHTS))
    names = {name for view in FLIGHTS.views for name in view.outputs}
    assert names | {"t", "split", "late", "dest", "distance", "carrier"} <= set(found["columns"])
    for name, one in found["columns"].items():
        assert one["inputs"], name
        for source in one["inputs"]:
            contract = FLIGHTS.contracts[source["table"]]
            known = {field.name for field in contract.fields} | {"event_time", "known_at"}
            assert source["column"] in known, (name, source)

    def told(column, kind):
        return {
            (one["table"], one["column"], one["subtype"])
            for one in found["columns"][column]["inputs"]
            if one["kind"] == kind
        }

    assert told("carrier__late_mean_1d", "DIRECT") == {("outcomes", "late", "AGGREGATION")}
    assert ("outcomes", "carrier", "JOIN") in told("carrier__late_mean_1d", "INDIRECT")
    assert told("carrier__rows_1d", "DIRECT") == set()
    filtered = told("carrier__rows_where_status_cancelled_1d", "INDIRECT")
    assert ("outcomes", "status", "FILTER") in filtered
    assert told("airport__lat", "DIRECT") == {("airports", "lat", "IDENTITY")}
    assert ("schedule", "dest", "JOIN") in told("airport__lat", "INDIRECT")
    assert told("miles", "DIRECT") == {("schedule", "distance", "TRANSFORMATION")}
    assert ("outcomes", "status", "CONDITIONAL") in told("late", "INDIRECT")
    ratio = found["columns"]["carrier_cancelled_1d"]
    assert "carrier__rows_1d" in ratio["from"]
    late = found["tables"]["outcomes"]["late"]
    delivered = {field.name for field in FLIGHTS.contracts["outcomes"].delivered}
    assert set(late["inputs"]) <= delivered
    assert "arr_delay" in late["inputs"]


def test_a_release_names_its_lineage_and_the_command_shows_it(grown, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    manifest = open_release("line_lateness", grown.home.store).manifest
    document = Store.find(grown.home.store).get_json(manifest.lineage)
    assert set(document["columns"]) == {column.name for column in manifest.columns}
    run = CliRunner().invoke(app, ["dataset", "lineage", "line_lateness", "--json"])
    assert run.exit_code == 0, run.output
    shown = json.loads(run.stdout)
    assert shown["columns"] == document["columns"]
    assert shown["ref"] == manifest.ref
    told = CliRunner().invoke(app, ["dataset", "lineage", "line_lateness", "-c", "busy"])
    assert "arrivals.stop" in told.stdout
    assert "line__rows_6h" in told.stdout
    wrong = CliRunner().invoke(app, ["dataset", "lineage", "line_lateness", "-c", "nobody"])
    assert wrong.exit_code == 2


def test_what_is_hidden_is_marked_and_what_is_dropped_is_not_there():
    privacy = {
        "carrier": {"class": "personal", "treatment": "pseudonymise"},
        "dest": {"class": "personal", "treatment": "drop"},
    }
    found = column_lineage(declared(FLIGHTS, privacy))
    assert "dest" not in found["columns"]
    assert found["columns"]["carrier"]["treatment"] == "pseudonymise"


def test_no_column_moves_unless_the_lineage_names_what_was_changed(grown):
    """Column by column of every table: shuffle it, and only what names it may differ."""
    pipeline = grown.pipeline
    found = column_lineage(declared(pipeline))["columns"]
    context = BuildContext(pipeline, grown.home)
    before, moved_once = labelled_frame(context), set()
    for table in ("plan", "arrivals", "gauges"):
        contract = pipeline.contracts[table]
        for column in [f.name for f in contract.fields if f.name not in contract.primary_key]:
            changed = BuildContext(pipeline, grown.home)
            changed.history = shuffled(context.history, table, column)
            changed.view = uncached(changed)
            after = labelled_frame(changed)
            moved = {
                name
                for name in before.column_names
                if name != "label_reason" and not same(before[name], after[name])
            }
            named = {
                name
                for name, one in found.items()
                if any((i["table"], i["column"]) == (table, column) for i in one["inputs"])
            }
            assert moved <= named, (table, column)
            moved_once |= moved
    assert len(moved_once) > 15


def shuffled(history, table, column):
    def read(name, columns):
        rows = history(name, columns)
        if name == table and column in rows.column_names:
            order = np.random.default_rng(5).permutation(rows.num_rows)
            place = rows.column_names.index(column)
            rows = rows.set_column(place, column, rows[column].take(pa.array(order)))
        return rows

    return read


def uncached(context):
    """Views computed anew, whatever is kept on disk."""

    def view(one):
        stored = [v for v in context.pipeline.views if not isinstance(v, RowTransform)]
        host = Host.over(
            context.spine,
            stored,
            context.history,
            context.pipeline.contracts,
            context.pipeline.mode,
        )
        names, columns = zip(*host.columns(one), strict=True)
        return SimpleNamespace(table=pa.table(list(columns), names=list(names)))

    return view


def same(one, other):
    return one.to_pylist() == other.to_pylist()
