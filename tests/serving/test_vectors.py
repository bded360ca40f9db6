"""What serving computes is what training computed; requests are typed; snapshots decide."""

import random
from dataclasses import replace

import pytest

from headrace.core.clock import DAY, HOUR, parse_iso
from headrace.core.errors import StateError
from headrace.features import build_spine, training_frame
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.serving.services import feature_service
from headrace.serving import RequestError
from tests.serving.world import DAYS, request_of, same_bytes


def frames(world, mode):
    pipeline = world.declare(mode)
    history = BuildContext(pipeline, world.home).history
    spine = build_spine(pipeline.spine, history, pipeline.contracts, "declared")
    frame = training_frame(spine, pipeline.views, history, pipeline.contracts, mode)
    return pipeline, spine, frame


def service_of(world, mode="recorded"):
    return feature_service(world.declare(mode), world.home)


@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_200_random_vectors_are_the_rows_of_the_training_frame(full, mode):
    pipeline, spine, frame = frames(full, mode)
    service, rows = feature_service(pipeline, full.home), spine.to_pylist()
    chosen = random.Random(1).sample(range(spine.num_rows), 200)
    served = [service.vector(request_of(rows[n]), rows[n]["t"]) for n in chosen]
    assert all(same_bytes(v, frame, n) for v, n in zip(served, chosen, strict=True))
    together = service.vectors([(request_of(rows[n]), rows[n]["t"]) for n in chosen])
    assert [one.row for one in together] == [one.row for one in served]
    assert sum(v["line__delay_mean_1d"] is not None for v in (s.values for s in served)) > 100


@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_any_moment_of_any_trip(full, mode):
    """At times that no spine row has: a frame over a spine of just these moments."""
    pipeline, spine, _ = frames(full, mode)
    service, chance = feature_service(pipeline, full.home), random.Random(2)
    chosen = [chance.randrange(spine.num_rows) for _ in range(200)]
    moments = [parse_iso(DAYS[0]) + chance.randrange(14 * 24) * HOUR + n % 2 for n in range(200)]
    asked = spine.take(chosen)
    asked = asked.set_column(asked.column_names.index("t"), "t", [moments])
    history = BuildContext(pipeline, full.home).history
    frame = training_frame(asked, pipeline.views, history, pipeline.contracts, mode)
    served = service.vectors([(request_of(row), row["t"]) for row in asked.to_pylist()])
    assert all(same_bytes(one, frame, n) for n, one in enumerate(served))


def test_a_batch_committed_two_days_late_was_not_there_before(world):
    world.deliver_days()
    world.publish()
    slot = DAYS[7]
    late = parse_iso(slot) + 3 * DAY
    world.commit_on_time(**{f"arrivals_{slot}".replace("-", "_"): late})
    recorded, declared = (service_of(world, mode) for mode in ("recorded", "declared"))
    request = {"trip": 1, "line": "A", "stop": "north", "due": "2024-03-09T12:00:00Z", "fare": 1}

    def rows(service, at):
        return service.vector(request, at).values["line__delay_count_1d"]

    before = late - 2 * DAY  # the end of the slot's own day: declared, its rows are known
    assert rows(declared, before) > 0
    assert rows(recorded, before) == 0
    week = "line__late_mean_7d"
    values = {at: recorded.vector(request, at).values[week] for at in (late - 1, late)}
    assert values[late - 1] != values[late] == declared.vector(request, late).values[week]
    _, spine, frame = frames(world, "recorded")
    asked = [(request_of(row), row["t"]) for row in spine.to_pylist()]
    served = recorded.vectors(asked)
    assert all(same_bytes(one, frame, n) for n, one in enumerate(served))


def test_a_new_snapshot_is_seen_whatever_its_rows_are_dated(world):
    late = ("arrivals", DAYS[3])
    world.deliver_days(DAYS[:6], without={late})
    world.publish()
    service = service_of(world, "declared")
    at = parse_iso(DAYS[4])
    request = {"trip": 1, "line": "A", "stop": "north", "due": "2024-03-05T02:00:00Z", "fare": None}
    before = service.vector(request, at)
    assert before.values["line__delay_count_1d"] == 0
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    after = service.vector(request, at)
    assert after.values["line__delay_count_1d"] > 0
    assert after.frontier["arrivals"] != before.frontier["arrivals"]
    assert after.frontier["gauges"] == before.frontier["gauges"]
    assert (before.t, before.definition) == (after.t, after.definition)


def test_a_table_is_read_once_for_each_snapshot(world):
    world.deliver_days(DAYS[:3])
    world.publish()
    read = []
    plain = service_of(world, "declared")

    class Counted:
        def snapshot_id(self, table):
            return plain.published.snapshot_id(table)

        def rows(self, table, columns, snapshot_id):
            read.append(table)
            return plain.published.rows(table, columns, snapshot_id)

    service = replace(plain, published=Counted())
    request = {"trip": 1, "line": "A", "stop": "north", "due": None, "fare": None}
    for hour in range(5):
        service.vector(request, parse_iso(DAYS[1]) + hour * HOUR)
    assert sorted(read) == ["arrivals", "gauges", "plan"]
    world.deliver_days([DAYS[3]])
    world.publish("gauges")
    service.vector(request, parse_iso(DAYS[1]))
    assert sorted(read) == ["arrivals", "gauges", "gauges", "plan"]


GOOD = {"trip": 1, "line": "A", "stop": "north", "due": "2024-03-05T02:00:00Z", "fare": 1.05}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"line": ...}, r"lacks \['line'\]"),
        ({"lime": "A"}, r"unknown columns \['lime'\]"),
        ({"line": 7}, "line is 7"),
        ({"trip": "1"}, "trip is '1'"),
        ({"trip": True}, "trip is True"),
        ({"trip": None}, "may not be null"),
        ({"trip": 2**63}, "whole number"),
        ({"trip": 100_001}, "beyond its greatest absolute value 100000"),
        ({"due": "2024-03-05 02:00"}, "a moment such as"),
        ({"due": parse_iso("2024-03-05")}, "due is 17"),
        ({"fare": float("inf")}, "infinite"),
        ({"fare": 1e9}, "greatest"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(full, change, says):
    request = {name: v for name, v in (GOOD | change).items() if v is not ...}
    with pytest.raises(RequestError, match=says):
        service_of(full).vector(request, 0)


def test_request_numbers_go_through_the_tables_quantiser(full):
    service = service_of(full)
    for fare, cents in [(1.05, 105), (2, 200), (0.125, 12), (0.135, 14), (float("nan"), None)]:
        vector = service.vector(GOOD | {"fare": fare}, parse_iso(DAYS[5]))
        assert vector.values["fare_cents"] == vector.request["fare"] == cents


def test_a_null_entity_gives_nulls(full):
    values = service_of(full).vector(GOOD | {"line": None}, parse_iso(DAYS[9])).values
    assert {v for name, v in values.items() if name.startswith("line__")} == {None}
    assert values["stop__rows_1d"] > 0


def test_nothing_published_is_said(world):
    with pytest.raises(StateError, match="nothing was published to arrivals, gauges, plan"):
        service_of(world).vector(GOOD, 0)


def test_the_definition_covers_views_spine_and_mode(world):
    def definition(**changes):
        return feature_service(replace(world.pipeline, **changes), world.home).definition

    plain = definition()
    assert plain == definition()
    views, spine = world.pipeline.views, world.pipeline.spine
    others = [
        definition(mode="recorded"),
        definition(views=views[1:-1]),
        definition(spine=replace(spine, at_offset="-1h")),
    ]
    assert len({plain, *others}) == 4
