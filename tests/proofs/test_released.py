"""Rows that were in quarantine are usable from their release; releases of data carry the override.

Six days of a live pipeline: on the third, the gate keeps the trips with long delays of line A back;
two nights later on-call releases them. Recorded frames do not see them before, to the moment.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from headrace.core.clock import HOUR, now_us, parse_iso
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.datasets import open_release
from headrace.features import training_frame
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.overrides.pinned_actions import override_sentence
from headrace.operations import batch_actions
from headrace.pipeline import build_release
from headrace.pipeline.build_context import BuildContext
from tests.serving.world import DAYS, World, suite_text

LIVE = DAYS[:6]
HELD, FREED = DAYS[2], DAYS[4]
POLICY = PermissionPolicy({"ana": Grant(frozenset(ACTIONS))})


def night(slot):
    return parse_iso(slot) + 25 * HOUR


def doubting(world):
    """The table of arrivals whose gate keeps long delays back."""
    text = yaml.safe_load(suite_text("arrivals"))
    text["meta"]["max_quarantined_share"] = 1
    text["expectations"].append(
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "delay", "max_value": 60},
            "meta": {"id": "delay", "action": "quarantine", "reason": "nothing is that late"},
        }
    )
    path = world.root / "arrivals.yaml"
    path.write_text(yaml.safe_dump(text))
    return replace(world.pipeline.table("arrivals"), suite=load_suite(path))


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("released"), mode="recorded")
    arrivals = doubting(world)
    tables = tuple(arrivals if t.name == "arrivals" else t for t in world.pipeline.tables)
    world.pipeline = replace(world.pipeline, tables=tables)
    dated = {}
    for slot in LIVE:
        rows = world.rows(slot)
        if slot == HELD:
            for row in rows["arrivals"][:20]:
                row["delay"] = 77
        for name, found in rows.items():
            world.deliver(name, slot, found)
        for table in world.pipeline.tables:
            ingest(table, LIVE, world.home)
        if slot == FREED:
            reason = "the depot burned, the delays are real"
            batch_actions.release(
                world.home, arrivals, HELD, principal="ana", reason=reason, policy=POLICY
            )
        date(world.home, night(slot), dated)
    return world


def date(home, moment, dated):
    """The lake dates commits by the clock on the wall; these nights had another one."""
    with closing(sqlite3.connect(home.ledger)) as ledger, ledger:
        rows = ledger.execute("SELECT rowid FROM judgements WHERE published_at IS NOT NULL")
        for (row,) in rows.fetchall():
            dated.setdefault(row, moment)
            ledger.execute(
                "UPDATE judgements SET published_at = ? WHERE rowid = ?", (dated[row], row)
            )


def late_share(world, mode, moments, *, without=False):
    """A feature over a week of line A at these moments; `without` the rows that were held back."""
    context = BuildContext(world.pipeline, world.home)
    spine = pa.table(
        {
            "t": pa.array(moments, pa.int64()),
            "line": pa.array(["A"] * len(moments)),
            "stop": pa.array(["north"] * len(moments)),
            "due": pa.array(moments, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "fare": pa.array([100] * len(moments), pa.int64()),
        }
    )

    def history(table, columns):
        rows = context.history(table, sorted({*columns, "delay"}))
        return rows.filter(pc.fill_null(pc.not_equal(rows["delay"], 77), True)) if without else rows

    views = tuple(v for v in world.pipeline.views if v.name == "line")
    frame = training_frame(spine, views, history, world.pipeline.contracts, mode)
    return frame["line__late_mean_7d"].to_pylist()


def test_a_released_row_is_not_usable_before_its_release(live):
    freed = night(FREED)
    moments = [night(HELD), freed - HOUR, freed - 1, freed, freed + HOUR]
    recorded = late_share(live, "recorded", moments)
    without = late_share(live, "recorded", moments, without=True)
    seen = [one != other for one, other in zip(recorded, without, strict=True)]
    assert seen == [False, False, False, True, True]


def test_declared_frames_see_it_when_it_was_known(live):
    moments = [night(HELD), night(FREED)]
    declared = late_share(live, "declared", moments)
    without = late_share(live, "declared", moments, without=True)
    assert all(one != other for one, other in zip(declared, without, strict=True))


def test_the_other_rows_of_the_batch_keep_their_time(live):
    rows = BuildContext(live.pipeline, live.home).history("arrivals", ["delay", "trip"])
    of_day = [
        since
        for trip, delay, since in zip(
            *(rows[name].to_pylist() for name in ("trip", "delay", "committed_at")), strict=True
        )
        if trip // 100 == 2 and delay != 77
    ]
    assert len(of_day) == 20
    assert set(of_day) == {night(HELD)}


def test_a_release_of_data_says_who_let_what_in(live):
    build_release(live.pipeline, live.home)
    manifest = open_release("line_lateness@latest", store=live.home.store).manifest
    (override,) = manifest.inputs["arrivals"].overrides
    found = json.loads(override)
    assert (found["action"], found["principal"], found["slot"]) == ("release", "ana", HELD)
    assert found["reason"] == "the depot burned, the delays are real"
    assert len(found["batches"]) == 1
    assert override_sentence(override).startswith(
        f"release of arrivals {HELD} (all rows in quarantine) by ana:"
    )
    assert manifest.inputs["plan"].overrides == ()
    assert type(manifest).from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_an_override_moves_the_manifest_and_not_the_content(live):
    """The same rows with another story are a patch."""
    before = open_release("line_lateness@latest", store=live.home.store).manifest
    arrivals = live.pipeline.table("arrivals")
    slot = LIVE[1]
    batch_actions.mute(
        live.home, arrivals, ["delay"], principal="ana", reason="the depot burned again",
        expires=now_us() + HOUR, policy=POLICY,
    )  # fmt: skip
    batch_actions.rerun(
        live.home, arrivals, slot, principal="ana", reason="under the mute", policy=POLICY
    )
    build_release(live.pipeline, live.home)
    after = open_release("line_lateness@latest", store=live.home.store).manifest
    assert (after.content_hash, after.change) == (before.content_hash, "PATCH")
    assert len(after.inputs["arrivals"].overrides) == 2
    with Ledger(live.home) as ledger:
        assert [a.action for a in actions(ledger)] == ["release", "mute", "rerun"]
