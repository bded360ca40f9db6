"""The service over a store that was materialised from a lake, against the one over the tables."""

from dataclasses import replace

import pytest

from headrace.core.clock import DAY, HOUR, parse_iso
from headrace.core.errors import DeclarationError, StateError
from headrace.features import build_spine
from headrace.features.canonical import definition_hashes
from headrace.lake.tables.history import history
from headrace.pipeline.serving.services import feature_service, materialise_online, online_service
from headrace.serving import RequestError
from headrace.serving.online import (
    MemoryStore,
    OnlineService,
    StaleError,
    Staleness,
    layout_of,
    materialise,
)
from headrace.serving.online.commits import clear
from tests.online.kit import entries
from tests.serving.world import DAYS, World, request_of


def asked(world):
    pipeline = world.pipeline
    read = lambda table, columns: history(world.home, table, columns)
    spine = build_spine(pipeline.spine, read, pipeline.contracts, pipeline.mode)
    due = spine["due"].cast("int64").to_pylist()
    rows = spine.to_pylist()
    return [(request_of(row), row["t"]) for row, _ in zip(rows, due, strict=True)][::7]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("online"))
    world.deliver_days()
    world.publish()
    return world


def test_the_store_and_the_tables_give_the_same_vectors(world):
    materialise_online(world.pipeline, world.home)
    online, tables = (
        online_service(world.pipeline, world.home),
        feature_service(world.pipeline, world.home),
    )
    requests = asked(world)
    expected = tables.vectors(requests)
    got = online.vectors(requests)
    assert len(got) > 50
    for one, other, (request, at) in zip(got, expected, requests, strict=True):
        assert one.values == other.values
        assert online.get(request, at) == one.values
        assert (one.request, one.t, one.key, one.features) == (
            other.request, other.t, other.key, other.features,
        )  # fmt: skip
        assert one.row.equals(other.row)
        assert (one.definition, dict(one.frontier)) == (other.definition, dict(other.frontier))


def test_commits_are_applied_once_in_any_order(world, tmp_path):
    layout = layout_of(world.pipeline.views, world.pipeline.contracts, world.pipeline.mode)
    whole, steps = MemoryStore(), MemoryStore()
    materialise(world.home, layout, whole, clock=lambda: 0)
    other = World(tmp_path)
    for slots in (DAYS[5:8], DAYS[:5], DAYS[8:]):  # Monday's rows may come on Wednesday
        other.deliver_days(slots)
        other.publish()
        materialise(other.home, layout, steps, clock=lambda: 0)
    done = materialise(other.home, layout, steps, clock=lambda: 0)
    assert set(done.rows.values()) == {0}
    data = lambda store: {k: v for k, v in entries(store).items() if not k.startswith(b"m")}
    assert data(whole) == data(steps)


def about(pipeline, store):
    return OnlineService(pipeline.spine, pipeline.views, pipeline.contracts, store, pipeline.mode)


def test_a_store_of_other_views_is_neither_asked_nor_fed(world):
    """The same views in another order number their joins differently."""
    pipeline, store = world.pipeline, MemoryStore()
    other = layout_of(pipeline.views[::-1], pipeline.contracts, pipeline.mode)
    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    materialise(world.home, other, store)
    for ask in (
        lambda: about(pipeline, store).vectors(asked(world)[:1]),
        lambda: materialise(world.home, layout, store),
    ):
        with pytest.raises(StateError, match="does not have the layout of these views") as raised:
            ask()
        assert "headrace online sync --full-refresh" in str(raised.value.fix)
    del store.entries[b"m:layout"]  # as stores did that were filled before they said it
    with pytest.raises(StateError, match="the store has none"):
        about(pipeline, store).vectors(asked(world)[:1])
    with pytest.raises(StateError, match="the store has none"):
        materialise(world.home, other, store)
    clear(store)
    materialise(world.home, layout, store)
    assert len(about(pipeline, store).vectors(asked(world)[:1])) == 1


@pytest.mark.parametrize("at", [2**62 + 1, -(2**62) - 1, 2**63])
def test_a_moment_that_training_refuses_is_refused(world, at):
    request, _ = asked(world)[0]
    with pytest.raises(RequestError, match="146,000 years"):
        about(world.pipeline, MemoryStore()).get(request, at)


def test_a_stale_view_is_flagged_or_refused(world):
    pipeline, store = world.pipeline, MemoryStore()
    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    request, at = asked(world)[0]
    about = (pipeline.spine, pipeline.views, pipeline.contracts, store, pipeline.mode)
    with pytest.raises(StateError, match="has no rows of"):
        OnlineService(*about).get(request, at)
    materialise(world.home, layout, store, clock=lambda: at - HOUR)
    flagged = OnlineService(*about, (Staleness("line", "30m"), Staleness("stop", "1h")))
    assert flagged.vector(request, at).stale == ("line",)
    refusing = OnlineService(*about, (Staleness("line", "30m", then="refuse"),))
    with pytest.raises(StaleError, match="view line is stale"):
        refusing.get(request, at)
    declared = replace(pipeline, max_staleness=(Staleness("line", "30m"),))
    assert online_service(declared, world.home, store).vector(request, at).stale == ("line",)
    assert parse_iso(DAYS[0]) < at + DAY


def test_an_unknown_mode_is_said_on_load(world):
    with pytest.raises(DeclarationError, match="'recorde' is not a mode"):
        replace(world.pipeline, mode="recorde")


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (lambda: (Staleness("lines", "10m"),), "no view 'lines' that reads a table"),
        (lambda: (Staleness("due_hour", "10m"),), "no view 'due_hour' that reads a table"),
        (lambda: (Staleness("line", "soon"),), "is not a staleness"),
        (lambda: (Staleness("line", 600),), "is not a staleness"),
        (lambda: (Staleness("line", "10m", then="shout"),), "is not a staleness"),
        (lambda: (("line", "10m"),), "is not a staleness limit of a view"),
        (lambda: Staleness("line", "10m"), "is not a tuple"),
        (lambda: (Staleness("line", "1m"), Staleness("line", "2m")), "two limits with action flag"),
    ],
)
def test_a_wrong_staleness_is_said_on_load(world, declared, says):
    with pytest.raises(DeclarationError, match=says) as raised:
        replace(world.pipeline, max_staleness=declared())
    assert raised.value.fix


def test_staleness_is_no_part_of_what_a_feature_means(world):
    one = world.pipeline
    both = (Staleness("line", "10m"), Staleness("line", "1h", then="refuse"))
    other = replace(one, max_staleness=both)
    about = lambda pipeline: definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    assert about(one) == about(other)
    assert replace(other).max_staleness == both
