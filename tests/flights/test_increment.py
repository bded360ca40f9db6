"""One more day: its slots change and no others, and the result is that of building from nothing."""

import shutil

import pytest

from headrace.core.clock import parse_iso, to_us
from headrace.core.home import Home
from headrace.dagster.sensors.pending_partitions import due_slots
from headrace.features.frames.materialise import read_segments, read_state
from headrace.features.spec import RowTransform
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.pipeline.build import labelled_frame
from headrace.pipeline.build_context import BuildContext
from tests.flights.short_range import (
    FIRST,
    LAST,
    build_all,
    build_views,
    cut_deliveries,
    feed_of,
    ingest_all,
    later,
    opened,
    releases,
    rows_of,
)

# What the day brings: its schedule, the weather of its UTC day, and the outcomes known on the day
# after; those of the day itself are here already.
NEW = {"schedule": [LAST], "weather": [LAST], "outcomes": [later(LAST, 1)]}


@pytest.fixture
def deliveries(flights_deliveries, tmp_path):
    return cut_deliveries(flights_deliveries, tmp_path / "deliveries", FIRST, later(LAST, -1))


def deliver_the_last_day(whole, folder):
    name = f"schedule_{LAST}.csv"
    shutil.copy2(whole / "drop" / name, folder / "drop" / name)
    (folder / "feed.sqlite").unlink()
    feed_of(whole, folder, FIRST, LAST)


def test_one_more_day_touches_that_day(deliveries, flights_deliveries, tmp_path):
    home, anew = Home(tmp_path / "home"), Home(tmp_path / "anew")
    with opened(deliveries) as pipeline:
        missing = {r.table: r.slot for r in ingest_all(pipeline, home) if r.state == "missing"}
        assert missing == {table: slot for table, (slot,) in NEW.items()}
        build_all(pipeline, home)
        deliver_the_last_day(flights_deliveries, deliveries)

    with opened(deliveries) as pipeline:
        live = {table: Lake(home).live(table) for table in NEW}
        due = due_slots(pipeline, home)
        assert {table: slots for table, slots in due.items() if slots} == NEW
        results = ingest_all(pipeline, home)
        assert {r.table: [r.slot] for r in results if r.changed} == NEW
        for table, before in live.items():
            after = Lake(home).live(table)
            assert {batch: after[batch] for batch in before} == before
            assert len(after) == len(before) + 1
        assert_views_are_renewed_from_the_frontier(pipeline, home)
        assert build_all(pipeline, home)["release"].metadata["change"] == "MINOR"

        ingest_all(pipeline, anew)
        build_all(pipeline, anew)
        assert_same_bytes(pipeline, home, anew)
        ours, fresh = releases(home), releases(anew)
        assert set(ours) == {"flights_delay@1.0.0", "flights_delay@1.1.0"}
        assert set(fresh) == {"flights_delay@1.0.0"}
        assert ours["flights_delay@1.1.0"] == fresh["flights_delay@1.0.0"]


def assert_views_are_renewed_from_the_frontier(pipeline, home):
    """What is unknown before k cannot change a row before k: those rows are not computed again."""
    plan = frontier(pipeline, home, "schedule")
    assert plan == parse_iso("2013-03-14T00:00:00Z")  # eight in the evening in New York
    t = BuildContext(pipeline, home).spine["t"].to_numpy()
    for name, done in build_views(pipeline, home).items():
        (view,) = (v for v in pipeline.views if v.name == name)
        first = min(plan, frontier(pipeline, home, view.table))
        renewed = done.metadata["rows computed now"]
        assert renewed == (t >= first).sum(), name
        assert 0 < renewed < 0.3 * len(t), name


def frontier(pipeline, home, table) -> int:
    """The least known-at of what was published last (microseconds); none if nothing was added."""
    if table not in NEW:
        return 2**62
    rows = Lake(home).scan(table, ["known_at", "_batch"]).to_pylist()
    with Ledger(home) as ledger:
        new = {key for key, b in ledger.batches(table).items() if b.slot == NEW[table][0]}
    return min(to_us(row["known_at"]) for row in rows if row["_batch"] in new)


def assert_same_bytes(pipeline, home, anew):
    assert rows_of(pipeline, home) == rows_of(pipeline, anew)
    for view in pipeline.views:
        if not isinstance(view, RowTransform):
            ours, fresh = (stored(BuildContext(pipeline, one), view) for one in (home, anew))
            assert ours.equals(fresh), view.name
            assert len(read_state(BuildContext(pipeline, home).folder(view.name)).segments) in (
                1,
                2,
            )
    ours, fresh = (labelled_frame(BuildContext(pipeline, one)) for one in (home, anew))
    assert ours.equals(fresh)


def stored(context, view):
    folder = context.folder(view.name)
    return read_segments(folder, read_state(folder))
