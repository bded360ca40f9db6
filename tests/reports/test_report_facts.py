"""Facts of real batches: damaged schedules, and a wind that nobody has ever felt."""

import json
import shutil

import pytest

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.reports.batch import render
from headrace.reports.batch.facts import gate_report
from headrace.reports.batch.shared_facts import one_batch
from tests.reports import world


def report_of(flights, table, slot, **options):
    pipeline, home = flights
    batch = one_batch(home, pipeline.table(table), slot)["batch"]
    return gate_report(pipeline, home, table, batch, **options)


def test_kilometres_are_seen_at_once(flights):
    report = report_of(flights, "schedule", world.KILOMETRES)
    assert (report.verdict, report.is_pending) == ("BLOCK", True)
    distance = next(c for c in report.comparison.columns if c.name == "distance")
    assert distance.excess > 0.2
    assert distance.this.median == pytest.approx(1.609 * distance.other.median, rel=0.15)
    assert report.last_good.slot == "2013-02-10"
    assert "distance" in {name for result in report.failed for name in result.columns}


@pytest.mark.parametrize(
    ("day", "cause"),
    [
        (world.KILOMETRES, "<h1>Distance looks like kilometre instead of mile</h1>"),
        (world.TORN, "<h1>Its end is cut off</h1>"),
        (
            world.RENAMED,
            "<h1>Distance is missing, and the undeclared column far looks like it</h1>",
        ),
    ],
)
def test_a_cause_that_has_a_name_is_the_headline(flights, day, cause):
    report = report_of(flights, "schedule", day)
    assert cause in render(report)
    named = [rule for rule in report.history.rules if rule.check.startswith("semantic:")]
    assert named[0].verdicts[-1] == "BLOCK"
    assert set(named[0].verdicts[-4:-1]) == {"PASS"}


def test_what_it_reaches_is_what_the_pipeline_declares(flights):
    reach = report_of(flights, "schedule", world.KILOMETRES).reach
    assert [name for name, _ in reach.views] == ["runway", "bank", "inbound", "from the row itself"]
    assert reach.datasets == (("flights_delay", "takes its rows and features from it"),)
    assert reach.models == ("flights_late",)
    weather = report_of(flights, "weather", world.WIND).reach
    assert dict(weather.views) == {"weather": 8, "sky": 5}


def test_failing_rows_are_told_by_their_key(flights):
    rows = report_of(flights, "weather", world.WIND).rows
    (row,) = rows.rows
    assert dict(row.key)["origin"] == "EWR"
    assert dict(row.values)["wind_speed"] > 1000
    assert row.checks == ("wind_speed",)
    assert (rows.total, rows.shared) == (1, ())
    assert rows.command.startswith("headrace gate rows weather ")


def test_what_all_failing_rows_share_is_told_once(flights):
    rows = report_of(flights, "schedule", world.KILOMETRES).rows
    assert [name for name, _ in rows.shared] == ["year", "month", "day"]
    assert [name for name, _ in rows.rows[0].key] == ["carrier", "flight", "origin"]
    assert rows.total > len(rows.rows)


def test_a_single_value_far_out_is_named(flights):
    columns = report_of(flights, "weather", world.WIND).comparison.columns
    wind = next(column for column in columns if column.name == "wind_speed")
    assert wind.outside is not None
    assert columns[0] == wind


def test_a_checks_past_ends_with_this_batch(flights):
    history = report_of(flights, "weather", world.WIND).history
    (rule,) = history.rules
    assert rule.verdicts == ("PASS", "PASS", "PASS", "QUARANTINE")
    assert history.slots[-1] == world.WIND


@pytest.mark.parametrize("day", [world.TORN, world.RENAMED])
def test_a_batch_that_cannot_be_read_says_why_nothing_is_compared(flights, day):
    report = report_of(flights, "schedule", day)
    assert report.comparison is None
    assert "cannot be read under contract 1.0.1" in report.not_compared
    assert not [step for step in report.steps if step.name == "Approve"]
    assert "(fix:" not in render(report)


def test_the_audit_trail_of_the_batch_is_on_it(flights, tmp_path):
    pipeline, home = flights
    shutil.copy(home.ledger, tmp_path / "ledger.sqlite")
    other = Home(tmp_path)
    batch = one_batch(home, pipeline.table("schedule"), world.KILOMETRES)["batch"]
    with Ledger(other) as ledger:
        for who, allowed in (("ana", False), ("ben", True)):
            record(ledger, Action(who, "reject", "schedule", "in <km>", batch, allowed=allowed))
    report = gate_report(pipeline, other, "schedule", batch)
    assert [(one.principal, one.allowed) for one in report.log] == [("ana", False), ("ben", True)]
    page = render(report)
    assert "in &lt;km&gt;" in page
    assert page.index("ben") < page.index("ana")  # newest first


def test_a_report_outlives_the_rows(flights, tmp_path):
    """What is kept is enough, once staged and delivered files are gone."""
    pipeline, home = flights
    copied = Home(tmp_path / "home")
    shutil.copytree(home.root, copied.root, dirs_exist_ok=True)
    before = report_of((pipeline, copied), "schedule", world.KILOMETRES, keeping=True)
    for folder in (copied.landing, copied.staged):
        shutil.rmtree(folder)
    after = report_of((pipeline, copied), "schedule", world.KILOMETRES)
    assert after.comparison == before.comparison
    assert after.judgement == before.judgement
    (kept,) = copied.reports.rglob("*.json")
    kept.unlink()
    gone = report_of((pipeline, copied), "schedule", world.KILOMETRES)
    assert "are gone" in gone.not_compared
    assert gone.rows == before.rows


def test_an_unknown_batch_is_refused(flights):
    pipeline, home = flights
    with pytest.raises(StateError, match="no batch nothing"):
        gate_report(pipeline, home, "schedule", "nothing")


def test_a_batch_that_was_replaced_leads_to_the_one_that_was_not(flights):
    pipeline, home = flights
    rows = find_batches(home, pipeline.table("schedule"), world.TWICE)
    old, new = (next(r for r in rows if r["state"] == s) for s in ("superseded", "published"))
    report = gate_report(pipeline, home, "schedule", old["batch"])
    assert (report.verdict, report.closed, report.successor) == ("BLOCK", True, new["batch"])
    page = render(report, "../../")
    assert f'href="../../batch/schedule/{new["batch"]}"' in page
    assert "Needs a decision" not in page
    assert [step.name for step in report.steps] == ["Look closer"]
    assert one_batch(home, pipeline.table("schedule"), world.TWICE)["batch"] == new["batch"]


def test_facts_are_plain(flights):
    report = report_of(flights, "weather", world.WIND)
    assert json.dumps(report.comparison.to_json(), allow_nan=False)
