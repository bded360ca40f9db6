"""A batch is blocked for two days, then released; recorded frames are what was served all along.

Nine days of a live pipeline through the real lake: each night what came is judged and published,
each day vectors are served and logged. The arrivals of the fourth day hold a delay that the suite
of then does not believe; two nights later a new suite lets them through.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pytest
import yaml

from headrace.core.clock import HOUR, parse_iso
from headrace.features import output_columns, training_frame
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.pipeline import feature_service, served_log
from headrace.pipeline.build_context import BuildContext
from headrace.serving import Entry, audit
from headrace.verification.parity import different, parity
from headrace.verification.proofs import proof_points, serving_path
from tests.serving.world import DAYS, World, suite_text

LIVE = DAYS[:9]
BLOCKED, FREED = 3, 5


def night(number):
    """When day `number` is published: an hour after it ended."""
    return parse_iso(DAYS[number]) + 25 * HOUR


def believes(world, limit):
    """The table of arrivals whose suite blocks a batch with a longer delay."""
    text = yaml.safe_load(suite_text("arrivals"))
    text["meta"]["version"] = limit
    text["expectations"].append(
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "delay", "max_value": limit},
            "meta": {"id": "delay", "action": "block", "reason": "nothing is that late"},
        }
    )
    path = world.root / f"arrivals_{limit}.yaml"
    path.write_text(yaml.safe_dump(text))
    return replace(world.pipeline.table("arrivals"), suite=load_suite(path))


class Live:
    """The pipeline night by night; what was published when is kept for good."""

    def __init__(self, root):
        self.world = World(root, mode="recorded")
        self.home, self.pipeline = self.world.home, self.world.pipeline
        self.service = feature_service(self.pipeline, self.home)
        self.published = {}
        self.states = {}
        self.world.deliver_days(DAYS[:1])

    def deliver(self, number):
        found = self.world.rows(DAYS[number])
        if number == BLOCKED:
            found["arrivals"][5]["delay"] = 77
        for table in ("arrivals", "gauges"):
            self.world.deliver(table, DAYS[number], found[table])
        ahead = DAYS[number + 1]
        self.world.deliver("plan", ahead, self.world.rows(ahead)["plan"])

    def publish(self, number):
        arrivals = believes(self.world, 100 if number >= FREED else 60)
        for table in (self.pipeline.table("plan"), self.pipeline.table("gauges"), arrivals):
            for result in ingest(table, DAYS, self.home):
                self.states[table.name, result.slot, number] = result.state
        self.date(night(number))

    def date(self, moment):
        """The lake dates commits by the clock on the wall; these nights had another one."""
        with closing(sqlite3.connect(self.home.ledger)) as ledger, ledger:
            rows = ledger.execute(
                "SELECT rowid, published_at FROM judgements WHERE published_at IS NOT NULL"
            ).fetchall()
            for row, _ in rows:
                self.published.setdefault(row, moment)
                ledger.execute(
                    "UPDATE judgements SET published_at = ? WHERE rowid = ?",
                    (self.published[row], row),
                )

    def requests(self, number):
        for row in self.world.rows(DAYS[number])["plan"]:
            fare = None if row["fare"] is None else float(row["fare"])
            # The first of a day is asked for at the very moment of the night's commit.
            yield {**row, "fare": fare}, parse_iso(row["due"]) + HOUR

    def serve(self, number):
        vectors = self.service.vectors(list(self.requests(number + 1)))
        with closing(served_log(self.pipeline, self.home)) as log:
            log.append([Entry(one, served_at=one.t) for one in vectors])


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    made = Live(tmp_path_factory.mktemp("recorded"))
    for number in range(len(LIVE)):
        made.deliver(number)
        made.publish(number)
        made.serve(number)
    return made


def frames(live, mode, moved=None):
    """The served log's rows as a spine, what was served, and the frame over what is there now."""
    with closing(served_log(live.pipeline, live.home)) as log:
        served = log.table()
    rows = [
        {**row, "t": t}
        for row, t in zip(
            map(yaml.safe_load, served["request"].to_pylist()), served["t"].to_pylist(), strict=True
        )
    ]
    types = live.service.schema.types
    spine = pa.table(
        {
            name: pa.array(
                [row[name] for row in rows], pa.int64() if pa.types.is_timestamp(kind) else kind
            ).cast(kind)
            for name, kind in types.items()
        }
    )
    context = BuildContext(live.pipeline, live.home)

    def history(table, columns):
        found = context.history(table, columns)
        return found if moved is None or table != "arrivals" else moved(found)

    views, contracts = live.pipeline.views, live.pipeline.contracts
    frame = training_frame(spine, views, history, contracts, mode)
    return spine, frame.select(output_columns(views))


def test_the_batch_was_blocked_for_two_nights(live):
    states = [live.states["arrivals", DAYS[BLOCKED], n] for n in range(BLOCKED, len(LIVE))]
    assert states == ["pending", "pending", *["published"] * 4]


def test_recorded_frames_are_what_was_served(live):
    with closing(served_log(live.pipeline, live.home)) as log:
        report = audit(log, feature_service(live.pipeline, live.home))
    assert report.to_json() == {"compared": 40 * len(LIVE), "different": 0, "causes": {}}


def test_the_block_made_the_difference(live):
    """Had the batch not been blocked, just the vectors of those two days would be others."""

    def never_blocked(rows):
        batches = rows["committed_at"].to_pylist()
        moments = [night(BLOCKED) if at == night(FREED) else at for at in batches]
        e = rows["event_time"].cast(pa.int64()).to_pylist()
        of_day = [parse_iso(DAYS[BLOCKED]) - HOUR <= at < night(BLOCKED) for at in e]
        moments = [m if own else at for m, own, at in zip(moments, of_day, batches, strict=True)]
        place = rows.column_names.index("committed_at")
        return rows.set_column(place, "committed_at", pa.array(moments, pa.int64()))

    spine, recorded = frames(live, "recorded")
    _, other = frames(live, "recorded", never_blocked)
    moved = {
        t
        for name in recorded.column_names
        for t, off in zip(
            spine["t"].to_pylist(), different(recorded[name], other[name]), strict=True
        )
        if off
    }
    assert moved
    assert all(night(BLOCKED) <= t < night(FREED) for t in moved)
    days_hit = {(t - night(BLOCKED)) // (24 * HOUR) for t in moved}
    assert days_hit == {0, 1}


def test_declared_frames_are_another_thing(live):
    """By known-at alone the blocked rows would have been there."""
    _, recorded = frames(live, "recorded")
    _, declared = frames(live, "declared")
    off = different(recorded["line__late_mean_7d"], declared["line__late_mean_7d"])
    assert off.sum() > 80


@pytest.mark.parametrize("via", ["tables", "store"])
def test_replayed_as_it_was_published_nothing_differs(live, via):
    if via == "store":
        pytest.importorskip("lmdb", reason="the embedded online store needs headrace[online]")
    context = BuildContext(live.pipeline, live.home)
    points = proof_points(context, 400, seed=1)
    views, contracts = live.pipeline.views, live.pipeline.contracts
    types = training_frame(points.slice(0, 1), views, context.history, contracts, "recorded").schema
    with closing(serving_path(context, types, via)) as path:
        found = parity(path, points, views, context.history, contracts, "recorded", steps=18)
    assert found.to_json() == {"compared": 400, "different": 0, "causes": {}}
