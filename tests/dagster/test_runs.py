"""Blocked days through the real ingest job, on a persistent instance."""

import shutil
from types import SimpleNamespace

import dagster as dg
import pytest
from shop_pipeline import DAYS, deliver, deliver_all, shop_pipeline

from headrace.core.home import Home
from headrace.dagster import definitions
from headrace.dagster.asset_names import GATE_CHECKS, table_key
from headrace.dagster.execute import ingest_due, reference_due, run_job, run_range
from headrace.dagster.instance import open_instance
from headrace.lake.ledger.batch_listing import find_batches
from headrace.web.report_address import report_url

VISITS, SALES = table_key("visits"), table_key("sales")


def partition_status(instance, defs, key):
    """(materialised, failed) as the UI shows them."""
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value as status,
    )

    partitions = defs.resolve_assets_def(key).partitions_def
    value = status(instance, key, partitions)
    if value is None:
        return set(), set()
    return (
        set(value.deserialize_materialized_partition_subsets(partitions).get_partition_keys()),
        set(value.deserialize_failed_partition_subsets(partitions).get_partition_keys()),
    )


def history(instance, key, action):
    """Evaluations of the check of an action, latest first."""
    storage = instance.event_log_storage
    check = dg.AssetCheckKey(key, f"gate_{action}")
    records = storage.get_asset_check_execution_history(check, limit=100)
    return [record.event.dagster_event.event_specific_data for record in records]


def evaluations(instance, key, action):
    """Evaluations of a check, latest first: (partition, passed, severity)."""
    found = history(instance, key, action)
    return [(one.partition, one.passed, one.severity.value) for one in found]


def materialisations(instance, key):
    records = instance.fetch_materializations(key, limit=100).records
    return [record.asset_materialization.partition for record in records]


def deliver_one_bad_day(folder):
    deliver_all(folder)
    deliver(folder, "visits", "2024-03-03", [10])


@pytest.fixture
def after_bad_day(folder, defs, pipeline, home, instance):
    deliver_one_bad_day(folder)
    return ingest_due(defs, pipeline, home, instance)


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory, databases):
    """What a bad day leaves behind: run once, for the tests that only look."""
    root = tmp_path_factory.mktemp("bad_day")
    home, folder = Home(root / "home"), root / "drop"
    deliver_one_bad_day(folder)
    shutil.copytree(databases, home.dagster)
    pipeline = shop_pipeline(folder)
    defs = definitions(pipeline, home=lambda: home)
    with open_instance(home) as instance:
        runs = ingest_due(defs, pipeline, home, instance)
        yield SimpleNamespace(runs=runs, defs=defs, pipeline=pipeline, home=home, instance=instance)


def test_a_good_range_is_one_run_with_one_materialisation_a_day(
    folder, defs, pipeline, home, instance
):
    deliver_all(folder)
    # Both tables until the fifth, sales alone on the sixth: visits expects nothing then.
    runs = ingest_due(defs, pipeline, home, instance)
    assert [(run.scope, run.success) for run in runs] == [
        ("2024-03-01..2024-03-05", True),
        ("2024-03-06", True),
    ]
    assert sorted(materialisations(instance, VISITS)) == DAYS[:5]
    assert sorted(materialisations(instance, SALES)) == DAYS
    assert not any(evaluations(instance, VISITS, action) for action in GATE_CHECKS)


def test_a_blocked_day_shows_as_failed_and_unmaterialised(bad_day):
    ranged = bad_day.runs[0]
    assert not ranged.success
    (failure,) = ranged.failures
    assert "2024-03-03" in failure[1]
    good = {*DAYS[:5]} - {"2024-03-03"}
    assert partition_status(bad_day.instance, bad_day.defs, VISITS) == (good, {"2024-03-03"})


def test_other_days_and_tables_of_that_run_go_on(bad_day):
    from headrace.lake.tables.lake import Lake

    assert partition_status(bad_day.instance, bad_day.defs, SALES) == (set(DAYS), set())
    lake = Lake(bad_day.home)
    assert lake.scan("visits").num_rows == 12
    assert lake.scan("sales").num_rows == 18


def test_the_check_says_which_day_and_stays_red(bad_day):
    assert evaluations(bad_day.instance, VISITS, "block") == [("2024-03-03", False, "ERROR")]
    assert evaluations(bad_day.instance, VISITS, "quarantine") == []
    assert evaluations(bad_day.instance, VISITS, "warn") == []


def test_the_day_names_its_cause_and_leads_to_the_page_where_it_is_decided(bad_day):
    (day,) = history(bad_day.instance, VISITS, "block")
    assert day.metadata["day"].value == "2024-03-03"
    assert day.metadata["cause"].value == "check rows failed"
    report = day.metadata["report"].value
    (batch,) = find_batches(bad_day.home, bad_day.pipeline.table("visits"), "2024-03-03")
    assert report == report_url("visits", batch["batch"])
    assert day.metadata["decide"].value == f"{report}#act"
    assert "| rows | BLOCK | critical |" in day.metadata["checks"].value
    assert "BLOCK (check rows failed)" in day.description


def test_nothing_of_a_blocked_day_looks_like_a_success(bad_day):
    """An observation would show the day in green among the events of the asset."""
    observed = bad_day.instance.fetch_observations(VISITS, limit=9).records
    assert observed == []


def test_the_failure_of_the_step_leads_to_the_page_of_each_day(bad_day):
    (batch,) = find_batches(bad_day.home, bad_day.pipeline.table("visits"), "2024-03-03")
    (failed,) = [
        record.event_log_entry.dagster_event
        for record in bad_day.instance.get_records_for_run(bad_day.runs[0].run_id).records
        if record.event_log_entry.is_dagster_event
        and record.event_log_entry.dagster_event.is_step_failure
    ]
    told = failed.step_failure_data.user_failure_data.metadata
    assert told["2024-03-03"].value == report_url("visits", batch["batch"])


def test_no_day_of_a_failed_run_is_left_as_a_check_that_never_ran(bad_day):
    storage = bad_day.instance.event_log_storage
    for check in GATE_CHECKS.values():
        key = dg.AssetCheckKey(VISITS, check)
        records = storage.get_asset_check_execution_history(key, limit=100)
        assert {record.status.value for record in records} <= {"FAILED"}


def test_without_a_new_delivery_there_is_nothing_to_run(bad_day):
    one = bad_day
    assert ingest_due(one.defs, one.pipeline, one.home, one.instance) == []


def test_after_a_corrected_delivery_only_that_day_runs(
    after_bad_day, folder, defs, pipeline, home, instance
):
    deliver(folder, "visits", "2024-03-03", [10, 20, 30], suffix="_corrected")
    (run,) = ingest_due(defs, pipeline, home, instance)
    assert (run.scope, run.success) == ("2024-03-03", True)
    assert partition_status(instance, defs, VISITS) == (set(DAYS[:5]), set())
    assert len(materialisations(instance, SALES)) == 6
    assert evaluations(instance, VISITS, "block") == [
        ("2024-03-03", True, "ERROR"),
        ("2024-03-03", False, "ERROR"),
    ]


def test_an_unreadable_source_fails_the_run_and_publishes_nothing(
    defs, pipeline, home, instance, folder
):
    folder.rmdir()
    runs = ingest_due(defs, pipeline, home, instance)
    assert not any(run.success for run in runs)
    assert partition_status(instance, defs, VISITS)[0] == set()


def test_an_expected_day_without_a_delivery_is_missing(folder, defs, pipeline, home, instance):
    deliver_all(folder)
    (folder / "visits_2024-03-02.csv").unlink()
    run, _ = ingest_due(defs, pipeline, home, instance)
    assert run.success
    assert evaluations(instance, VISITS, "warn") == [("2024-03-02", False, "WARN")]
    assert evaluations(instance, VISITS, "block") == []
    assert "2024-03-02" not in partition_status(instance, defs, VISITS)[0]


def test_quarantined_rows_are_told_of_and_do_not_stop_the_day(
    folder, defs, pipeline, home, instance
):
    deliver_all(folder)
    deliver(folder, "visits", "2024-03-02", [10, 20, 5000])
    run, _ = ingest_due(defs, pipeline, home, instance)
    assert run.success
    assert "2024-03-02" in partition_status(instance, defs, VISITS)[0]
    assert evaluations(instance, VISITS, "quarantine") == [("2024-03-02", False, "WARN")]
    assert evaluations(instance, VISITS, "block") == []


def test_a_day_run_from_the_browser_is_checked_singly(folder, defs, pipeline, home, instance):
    """The browser materialises an asset together with its checks."""
    deliver_all(folder)
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, partition_key="2024-03-02", asset_selection=[VISITS]
    )
    assert result.success
    assert materialisations(instance, VISITS) == ["2024-03-02"]
    for action in GATE_CHECKS:
        found = evaluations(instance, VISITS, action)
        assert [(day, passed) for day, passed, _ in found] == [(None, True), ("2024-03-02", True)]


def test_a_check_can_be_executed_by_itself(bad_day):
    """It reads the ledger: two days are published after the one that is still pending."""
    job = bad_day.defs.resolve_implicit_global_asset_job_def()
    chosen = {dg.AssetCheckKey(VISITS, name) for name in ("gate_block", "gate_warn")}
    alone = job.get_subset(asset_check_selection=chosen, asset_selection=set())
    with dg.DagsterInstance.ephemeral() as fresh:
        result = alone.execute_in_process(instance=fresh, raise_on_error=False)
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in found.items()} == {
        "gate_block": False, "gate_warn": True,
    }  # fmt: skip
    assert found["gate_block"].severity == dg.AssetCheckSeverity.ERROR
    assert "are pending" in found["gate_block"].description
    assert not result.success  # it is blocking


def test_a_range_can_be_run_again_and_changes_nothing(folder, defs, pipeline, home, instance):
    from headrace.lake.tables.lake import Lake

    deliver_all(folder)
    run_range(defs, pipeline, DAYS[0], DAYS[4], instance)
    before = Lake(home).snapshot_id("visits")
    (run,) = run_range(defs, pipeline, DAYS[0], DAYS[4], instance)
    assert run.success
    assert Lake(home).snapshot_id("visits") == before


def test_snapshots_run_when_delivered_or_never_run(folder, defs, pipeline, home, instance):
    deliver_all(folder)
    (run,) = reference_due(defs, pipeline, home, instance)
    assert run.success
    assert not any(evaluations(instance, table_key("shops"), action) for action in GATE_CHECKS)
    assert reference_due(defs, pipeline, home, instance) == []


def test_the_build_runs_every_stage_after_what_it_reads(built, defs, pipeline, instance):
    run = run_job(defs, pipeline, "build", instance)
    assert run.success, run.failures
    assert built == ["recent_visits", "release", "model", "monitors"]


def test_the_stages_of_a_run_share_one_build_context(built, monkeypatch, defs, pipeline, instance):
    contexts = []

    def stage(pipeline, home, context):
        contexts.append(context)
        return SimpleNamespace(metadata={}, changed=True)

    monkeypatch.setattr("headrace.pipeline.build_release", stage)
    monkeypatch.setattr("headrace.operations.monitor_run.run_monitors", stage)
    assert run_job(defs, pipeline, "build", instance).success
    assert run_job(defs, pipeline, "build", instance).success
    (release, monitors), (next_release, _) = contexts[:2], contexts[2:]
    assert release is monitors
    assert release is not next_release


def test_a_failing_stage_tells_the_fix(monkeypatch, built, defs, pipeline, instance):
    import headrace.pipeline
    from headrace.core.errors import StateError

    def broken(pipeline, home, context):
        raise StateError("no rows", where="table visits", fix="headrace run")

    monkeypatch.setattr(headrace.pipeline, "build_release", broken)
    run = run_job(defs, pipeline, "build", instance)
    assert not run.success
    assert run.failures == (
        ("datasets__shop_takings", "no rows\n  where: table visits\n  fix:   headrace run"),
    )
    assert built == ["recent_visits"]
