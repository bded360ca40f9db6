"""The actions as jobs: filled in by a link, typed reason, done and on the record; or refused."""

from urllib.parse import parse_qs, urlparse

import dagster as dg
import pytest
import yaml
from shop_pipeline import deliver

from headrace.alerts import AlertStore, update_alerts
from headrace.dagster.asset_names import table_key
from headrace.dagster.checks.ledger_days import report_decision
from headrace.dagster.execute import run_range
from headrace.dagster.jobs.batch_actions import oncall_jobs
from headrace.dagster.links import action_url
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from headrace.web.dagster_links import op_name
from tests.alerts.alert_servers import webhook

DAY = "2024-03-03"
POLICY = """\
version: 1
principals:
  ana: {actions: all, tables: all}
  guest: {actions: [ack], tables: all}
"""


@pytest.fixture(autouse=True)
def policy(tmp_path, monkeypatch):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    monkeypatch.setenv("HEADRACE_POLICY", str(path))


@pytest.fixture
def act(pipeline, home, instance):
    """Opens the link of an action, types principal and reason, and launches."""

    def run(action, slot=DAY, *, principal="ana", reason="looked at it", **more):
        (row, *_) = find_batches(home, pipeline.table("visits"), slot)
        link = action_url(None, action, "visits", row["batch"], location="shop", slot=slot)
        config = yaml.safe_load(parse_qs(urlparse(link).query)["config"][0])
        given = config["ops"][op_name(action)]["config"]
        assert (given["principal"], given["reason"]) == ("", "")
        given |= {"principal": principal, "reason": reason, **more}
        jobs = {job.name: job for job in oncall_jobs(pipeline, lambda: home)}
        return jobs[f"gate_{action}"].execute_in_process(
            config, instance=instance, raise_on_error=False
        )

    return run


def failure(result):
    (event,) = [one for one in result.all_events if one.is_step_failure]
    return event.step_failure_data.user_failure_data.description


def recorded(home):
    with Ledger(home) as ledger:
        return [(one.principal, one.action, one.allowed, one.reason) for one in actions(ledger)]


@pytest.fixture
def blocked(folder, pipeline, home):
    """A day with one row, where the suite wants two."""
    deliver(folder, "visits", DAY, [10])
    (result,) = ingest(pipeline.table("visits"), [DAY], home)
    assert result.state == "pending"


@pytest.fixture
def published(folder, pipeline, home):
    deliver(folder, "visits", DAY, [10, 20, 5000])
    (result,) = ingest(pipeline.table("visits"), [DAY], home)
    assert (result.verdict, result.published) == ("QUARANTINE", 2)


def test_a_release_publishes_and_shows_in_the_history_of_the_asset(blocked, act, home, instance):
    assert act("release").success
    assert Lake(home).scan("visits").num_rows == 1
    assert recorded(home) == [("ana", "release", True, "looked at it")]
    (made,) = instance.fetch_materializations(table_key("visits"), limit=9).records
    shown = made.asset_materialization
    assert shown.partition == DAY
    assert shown.description == "release by ana: looked at it"
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(table_key("visits"), "gate_warn"), limit=1
    )
    told = history[0].event.dagster_event.event_specific_data
    assert (told.passed, told.severity.value) == (False, "WARN")
    assert told.description.startswith(
        "1 WARN. 2024-03-03 WARN (released): WARN: released by ana: looked at it"
    )


def test_a_decision_outside_dagster_shows_in_the_history_of_the_asset(
    folder, defs, pipeline, home, instance
):
    """Red while it is held back; published, and the check green, once it was approved elsewhere."""
    deliver(folder, "visits", DAY, [10])
    run_range(defs, pipeline, DAY, DAY, instance)
    check = dg.AssetCheckKey(table_key("visits"), "gate_block")
    assert not latest(instance, check).passed
    table = pipeline.table("visits")
    done = batch_actions.release(home, table, DAY, principal="ana", reason="looked at it")
    report_decision(home, [pipeline], "visits", done)
    assert latest(instance, check).passed
    assert latest(instance, check).partition == DAY
    (made,) = instance.fetch_materializations(table_key("visits"), limit=9).records
    assert made.asset_materialization.description == "release by ana: looked at it"
    again = batch_actions.release(home, table, DAY, principal="ana", reason="looked at it")
    report_decision(home, [pipeline], "visits", again)
    assert len(instance.fetch_materializations(table_key("visits"), limit=9).records) == 1


def test_the_second_decision_on_a_day_shows_as_well(folder, defs, pipeline, home, instance, caplog):
    check = dg.AssetCheckKey(table_key("visits"), "gate_block")
    table = pipeline.table("visits")
    for rows in ([10], [11]):
        deliver(folder, "visits", DAY, rows)
        run_range(defs, pipeline, DAY, DAY, instance)
        assert not latest(instance, check).passed
        done = batch_actions.reject(home, table, DAY, principal="ana", reason="no better will come")
        report_decision(home, [pipeline], "visits", done)
        assert latest(instance, check).passed
    assert "could not be recorded" not in caplog.text


def latest(instance, check):
    record = instance.get_latest_asset_check_evaluation_record(check)
    return record.event.dagster_event.event_specific_data


def test_the_same_release_twice_changes_nothing(blocked, act, home):
    assert act("release").success
    assert act("release").success
    assert len(recorded(home)) == 1


def test_a_rejection_leaves_the_day_missing(blocked, act, home, pipeline):
    assert act("reject").success
    (row,) = find_batches(home, pipeline.table("visits"), DAY)
    assert row["state"] == "rejected"


def test_a_rerun_judges_again(blocked, act, home):
    assert act("rerun").success
    assert recorded(home)[0][1] == "rerun"


def test_rows_are_taken_out(published, act, home):
    assert act("quarantine", lines=[2]).success
    assert Lake(home).scan("visits").num_rows == 1


def test_a_recall_takes_the_batch_out(published, act, home, pipeline):
    done = act("recall")
    assert done.success, failure(done)
    assert Lake(home).scan("visits").num_rows == 0
    (row,) = find_batches(home, pipeline.table("visits"), DAY)
    assert row["state"] == "recalled"
    done = act("restore", reason="it was right")
    assert done.success, failure(done)
    (row,) = find_batches(home, pipeline.table("visits"), DAY)
    assert row["state"] == "published"
    assert Lake(home).scan("visits").num_rows > 0


def test_a_mute_lets_the_next_batch_pass(act, blocked, home, folder, pipeline):
    assert act("mute", checks=["rows"], expires="2d").success
    assert act("rerun").success
    assert Lake(home).scan("visits").num_rows == 1


def test_an_acknowledgement_silences_the_alert(blocked, act, home, pipeline, tmp_path, monkeypatch):
    file = tmp_path / "alerts.yaml"
    file.write_text('version: 1\nquiet: []\nroutes:\n  "*":\n    - ${PAGER}\n')
    monkeypatch.setenv("HEADRACE_ALERTS", str(file))
    with webhook() as hook:
        monkeypatch.setenv("PAGER", hook.url)
        update_alerts(home, pipeline.tables)
        assert act("ack", principal="guest", reason="on it").success
        assert act("release").success
        update_alerts(home, pipeline.tables)
    assert hook.closed == hook.ids
    with AlertStore(home) as store:
        (alert,) = store.alerts()
    assert alert.acknowledged_by == "guest"
    assert alert.closed_by == "released by ana: looked at it"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"principal": "bob"}, "refused: bob is not listed in the policy"),
        ({"principal": "guest"}, "refused: guest may not release"),
        ({"principal": ""}, "principal is empty"),
        ({"reason": " "}, "reason is empty"),
        ({"expires": "soon"}, "'soon' is not a day"),
        ({"table": "nothing"}, "no table 'nothing'"),
        ({"batch": "ffff"}, "ffff"),
    ],
)
def test_what_is_wrong_fails_the_run_with_its_sentence(blocked, act, home, given, said):
    result = act("release", **given)
    assert not result.success
    assert said in failure(result)
    assert not Lake(home).snapshot_id("visits")
    refused = [one for one in recorded(home) if not one[2]]
    assert bool(refused) == said.startswith("refused")


def test_a_crashed_check_cannot_be_released(act, folder, pipeline, home, monkeypatch):
    monkeypatch.setattr("headrace.lake.ingest.validator.judge", _crash)
    deliver(folder, "visits", DAY, [10, 20])
    ingest(pipeline.table("visits"), [DAY], home)
    monkeypatch.undo()
    monkeypatch.setenv("HEADRACE_POLICY", "")
    result = act("release", principal=_local())
    assert not result.success
    assert "a check crashed" in failure(result)


def _crash(*_args, **_more):
    raise ZeroDivisionError("boom")


def _local():
    from headrace.core.permissions import local_user

    return local_user()
