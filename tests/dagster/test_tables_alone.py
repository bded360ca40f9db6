"""A pipeline of tables alone: ingested, gated and shown, with nothing built from the tables."""

from http import HTTPStatus

import dagster as dg
import pytest
from shop_pipeline import DAYS, deliver, deliver_all, shop_tables

from headrace.core.errors import DeclarationError
from headrace.dagster import flow
from headrace.dagster.execute import run_pipeline
from headrace.lake.ledger.batch_listing import held_batches
from headrace.lineage.downstream import readers, stores
from headrace.operations.recall import recall
from headrace.pipeline import Pipeline
from headrace.pipeline.staleness import is_current
from headrace.report_server.site import Site
from headrace.reports.status import overview


@pytest.fixture
def pipeline(folder):
    return Pipeline(name="shop", tables=shop_tables(folder), first_slot=DAYS[0], last_slot=DAYS[-1])


def test_it_has_the_assets_checks_and_jobs_of_its_tables(pipeline, defs):
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    names = ("sales", "shops", "visits")
    assert keys == {f"{kind}/{name}" for kind in ("sources", "tables") for name in names}
    repository = defs.get_repository_def()
    assert len(repository.asset_graph.asset_check_keys) == 9
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"ingest", "reference", "maintain"} <= jobs
    assert not {"build", "retrain", "online", "audit"} & jobs
    assert {sensor.name for sensor in repository.sensor_defs} == {"deliveries", "alerts"}
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "daily_ingest", "daily_reference", "nightly_maintenance",
    }  # fmt: skip


def test_a_part_that_is_not_there_is_an_error_that_says_so(pipeline):
    chain = flow(pipeline)
    assert (chain.views, chain.datasets, chain.models, chain.monitoring, chain.serving) == ((),) * 5
    with pytest.raises(DeclarationError, match="has 0 assets of this kind, not one") as caught:
        _ = chain.release
    assert caught.value.fix == "list all of them: *chain.datasets"


def test_a_run_publishes_and_finds_nothing_else_to_do(folder, pipeline, defs, home, tmp_path):
    deliver_all(folder)
    deliver(folder, "sales", DAYS[2], [1], suffix="")  # too few rows: the gate blocks it
    outcome = run_pipeline(pipeline, home, defs=defs, project=tmp_path)
    assert {run.job for run in outcome.runs} == {"ingest", "reference"}
    assert not outcome.ok  # of the blocked day
    assert not outcome.lineage
    report = overview([pipeline], home)
    assert {row["table"]: row["published"] for row in report["tables"]} == {
        "visits": 15, "sales": 15, "shops": 1,
    }  # fmt: skip
    assert report["releases"] == report["models"] == []
    assert is_current(pipeline, home)
    built = run_pipeline(pipeline, home, defs=defs, project=tmp_path, stage="build")
    assert built.runs == []
    (held,) = held_batches(home, pipeline.table("sales"))
    site = Site([pipeline], home)
    for page in ("/", f"/batch/sales/{held['batch']}"):
        answer = site.answer(page)
        assert answer.status == HTTPStatus.OK
    assert site.answer("/monitor/shop").status == HTTPStatus.NOT_FOUND
    row = {"pipeline": "shop", "views": [], "features": [], "spine": False, "label": False}
    assert readers([pipeline], "sales") == [{**row, "dataset": "", "model": ""}]
    assert stores([pipeline], home, "sales") == []
    who = {"principal": "data-owner", "reason": "wrong till"}
    recalled = recall(home, pipeline.table("sales"), DAYS[0], pipelines=[pipeline], **who)
    assert (recalled["state"], recalled["stores"]) == ("recalled", [])


def test_its_checks_run(folder, pipeline, defs, home, tmp_path, instance):
    deliver_all(folder)
    run_pipeline(pipeline, home, defs=defs, project=tmp_path)
    checks = dg.AssetSelection.checks_for_assets(dg.AssetKey(["tables", "sales"]))
    job = dg.define_asset_job("checks", selection=checks)
    merged = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = merged.resolve_job_def("checks").execute_in_process(instance=instance)
    assert result.success
