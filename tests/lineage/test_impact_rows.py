"""`headrace impact`: what holds a batch, and how many rows took of it, against tracing them all."""

import json

import pytest
from typer.testing import CliRunner

import headrace.pipeline.load as loading
from headrace.cli.app import app
from headrace.core.errors import DeclarationError
from headrace.datasets import open_release
from headrace.features.oracle_audit import plain_values
from headrace.features.table_shapes import shapes_of
from headrace.lake.ledger.ledger import Ledger
from headrace.lineage.batch_holders import impact
from headrace.lineage.batch_impact import find_batch, reached_rows
from headrace.lineage.row_trace.feature_trace import trace_row
from headrace.lineage.row_trace.lookups import InMemory
from headrace.lineage.row_trace.release_row import cut_of, parts_of
from headrace.models.external import register
from headrace.pipeline import build_release
from headrace.pipeline.build_context import BuildContext
from tests.serving.world import DAYS, World

REF = "line_lateness@1.0.0"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    for name in ("HEADRACE_STORE", "HEADRACE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Released after twelve days, with a correction; then the last two came."""
    world = World(tmp_path_factory.mktemp("grown"))
    world.deliver_days(DAYS[:12])
    rows = world.rows(DAYS[3])["arrivals"][:20]
    world.deliver("arrivals", DAYS[3], world.corrected(rows, delay=7), "-corrected")
    world.publish()
    build_release(world.pipeline, world.home)
    weights = world.root / "model.bin"
    weights.write_bytes(b"weights")
    register(world.home, "elsewhere", open_release(REF, world.home.store), [weights])
    world.deliver_days(DAYS[12:])
    world.publish()
    return world


@pytest.fixture(scope="module")
def traced(grown):
    """{(table, batch): numbers of the released rows that some contributing row of it is in}."""
    dataset = open_release(REF, grown.home.store)
    parts, context = parts_of(grown.pipeline), BuildContext(grown.pipeline, grown.home)
    shapes = shapes_of(parts.contracts)
    pins = {table: given.snapshot_id for table, given in dataset.manifest.inputs.items()}
    facts = InMemory(BuildContext(grown.pipeline, grown.home, pins).history, shapes)
    assert context.snapshots != pins
    released = dataset.arrow
    names = [*dict.fromkeys((*shapes["plan"].primary_key, *parts.spine.columns, "t"))]
    cells = zip(*(plain_values(released[name]) for name in names), strict=True)
    found = {}
    for number, one in enumerate(cells):
        row = dict(zip(names, one, strict=True))
        trace = trace_row(parts, facts, row, cut_of(grown.pipeline, dataset.manifest, row["t"]))
        for column in trace.columns.values():
            if column.table:
                picked = trace.tables[column.table].take(column.contributing)
                for batch in set(picked["_batch"].to_pylist()):
                    found.setdefault((column.table, batch), set()).add(number)
    return found


def batches(world, table):
    with Ledger(world.home) as ledger:
        return {one.origin.rpartition("/")[2]: key for key, one in ledger.batches(table).items()}


def test_rows_that_took_of_a_batch_are_those_whose_traces_name_it(grown, traced):
    total = 0
    for table in ("plan", "arrivals", "gauges"):
        for name, batch in batches(grown, table).items():
            found = impact(grown.home, batch, table)
            answers = reached_rows(grown.home, found, [grown.pipeline], [table])
            if any(day in name for day in DAYS[12:]):
                assert answers == {}
                continue
            reached = answers[REF]
            assert reached.used == len(traced.get((table, batch), ())), name
            assert reached.used == sum(reached.by_split.values())
            assert max(reached.features, reached.label, reached.spine) <= reached.used
            total += reached.used
    assert total > 1000


def test_the_command_says_it_for_scripts_and_for_people(grown, traced, monkeypatch):
    monkeypatch.setattr(loading, "project_pipelines", lambda: [grown.pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    batch = batches(grown, "arrivals")["arrivals_2024-03-04.csv"]
    run = CliRunner().invoke(app, ["impact", "--batch", batch[:16], "--exact", "--json"])
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    (release,) = document["releases"]
    assert (document["batch"], document["tables"]) == (batch, ["arrivals"])
    assert (release["ref"], release["tainted"]) == (REF, False)
    assert release["rows"]["used"] == len(traced["arrivals", batch])
    (model,) = document["models"]
    assert model["ref"].startswith("elsewhere@")
    assert (model["champion"], model["elsewhere"]) == (False, True)
    told = CliRunner().invoke(app, ["impact", "--batch", batch, "--exact"])
    assert f"{len(traced['arrivals', batch]):,}" in told.stdout
    plain = CliRunner().invoke(app, ["impact", "--batch", batch, "--json"])
    assert "rows" not in json.loads(plain.stdout)["releases"][0]
    late = batches(grown, "arrivals")["arrivals_2024-03-13.csv"]
    assert "no release contains it" in CliRunner().invoke(app, ["impact", "--batch", late]).stdout


def test_a_batch_that_is_none_is_told(grown):
    with pytest.raises(DeclarationError, match="there is no batch"):
        find_batch(grown.home, "nobody")
    with pytest.raises(DeclarationError, match="batches start with"):
        find_batch(grown.home, "")
    batch = batches(grown, "plan")["plan_2024-03-04.csv"]
    with pytest.raises(DeclarationError, match="in table arrivals"):
        find_batch(grown.home, batch, "arrivals")
    assert find_batch(grown.home, batch[:20]) == (batch, ("plan",))


def test_what_cannot_be_told_is_told_as_such(grown):
    batch = batches(grown, "arrivals")["arrivals_2024-03-04.csv"]
    answers = reached_rows(grown.home, impact(grown.home, batch), [], ["arrivals"])
    assert "does not declare" in answers[REF]
