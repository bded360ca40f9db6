"""The build context: published tables are read once, and again after a publication."""

from dataclasses import replace

import pytest

from headrace.features.spec import RowTransform
from headrace.pipeline import build_context, build_release, build_view
from headrace.pipeline.build_context import BuildContext
from tests.serving.world import DAYS, VIEWS, World


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    made = World(tmp_path)
    made.deliver_days(DAYS)
    made.publish()
    return made


@pytest.fixture
def reads(monkeypatch):
    """Tables and columns in the order in which the lake was asked for them."""
    asked = []

    def history(home, table, columns, **options):
        asked.append((table, *sorted(columns)))
        return read(home, table, columns, **options)

    read = build_context.history
    monkeypatch.setattr(build_context, "history", history)
    return asked


def test_stages_with_one_context_read_each_table_once(world, reads):
    context = BuildContext(world.pipeline, world.home)
    for view in VIEWS:
        if not isinstance(view, RowTransform):
            build_view(world.pipeline, view, world.home, context)
    build_release(world.pipeline, world.home, context)
    assert len(reads) == len(set(reads)) > 1
    first = list(reads)
    build_release(world.pipeline, world.home, context)  # it gave its memory back
    assert set(reads[len(first) :]) <= set(first)
    assert len(reads) > len(first)


def test_a_context_that_is_refreshed_sees_what_was_published_since(world, reads):
    context = BuildContext(world.pipeline, world.home)
    columns = ["delay", "trip"]
    rows = context.history("arrivals", columns)
    context.refresh()
    assert context.history("arrivals", columns) is rows
    world.deliver("arrivals", DAYS[0], world.corrected(world.rows(DAYS[0])["arrivals"]), "_b")
    world.publish()
    assert context.history("arrivals", columns) is rows  # the stage that reads it is not disturbed
    context.refresh()
    assert context.history("arrivals", columns).num_rows > rows.num_rows
    assert reads == [("arrivals", *columns)] * 2


def test_another_dataset_of_the_same_tables_shares_what_was_read(world, reads):
    context = BuildContext(world.pipeline, world.home)
    spine = context.spine
    dataset = replace(world.pipeline.dataset, description="another")
    other = context.with_dataset(dataset)
    read = list(reads)
    assert other.spine is spine
    assert other.pipeline.dataset is dataset
    assert context.pipeline is world.pipeline
    assert reads == read


def test_a_context_of_another_home_is_not_used(world, tmp_path):
    other = BuildContext(world.pipeline, replace(world.home, root=tmp_path / "other"))
    assert build_release(world.pipeline, world.home, other).metadata["release"]
