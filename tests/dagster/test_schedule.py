"""The daily ingest asks for what is outstanding, and for the newest day."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from shop_pipeline import DAYS, deliver, deliver_all

from headrace.dagster.execute import ingest_due


@pytest.fixture
def tick(defs, instance):
    def evaluate(day: int) -> list[dg.RunRequest]:
        schedule = defs.resolve_schedule_def("daily_ingest")
        moment = datetime(2024, 3, day, 3, tzinfo=UTC)
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=moment,
            repository_def=defs.get_repository_def(),
        )
        return list(schedule.evaluate_tick(context).run_requests or [])

    return evaluate


def scope(request: dg.RunRequest) -> tuple[str, str]:
    start = request.tags.get("dagster/asset_partition_range_start", request.partition_key)
    end = request.tags.get("dagster/asset_partition_range_end", request.partition_key)
    return start, end


def test_all_that_is_outstanding_in_unbroken_ranges(folder, tick):
    deliver_all(folder)
    found = tick(7)
    assert [scope(one) for one in found] == [(DAYS[0], DAYS[4]), (DAYS[5], DAYS[5])]
    assert [key.path[-1] for key in found[1].asset_selection] == ["sales"]


def test_a_corrected_day_and_the_newest_day(folder, tick, defs, pipeline, home, instance):
    deliver_all(folder)
    ingest_due(defs, pipeline, home, instance)
    deliver(folder, "visits", DAYS[1], [1, 2, 3, 4], suffix="_corrected")
    found = tick(5)  # the fourth is the newest day that is over
    assert [scope(one)[0] for one in found] == [DAYS[1], DAYS[3]]


def test_a_tick_that_is_tried_again_asks_with_the_same_keys(folder, tick):
    deliver_all(folder)
    assert [one.run_key for one in tick(7)] == [one.run_key for one in tick(7)]
    assert not {one.run_key for one in tick(7)} & {one.run_key for one in tick(8)}


def test_no_check_is_planned_for_every_day(folder, tick):
    deliver_all(folder)
    assert [one.asset_check_keys for one in tick(7)] == [[], []]
