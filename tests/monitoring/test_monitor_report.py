"""The monitor's report: what is on it, that nothing on it runs, and what the commands say of it."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from headrace.cli import app as commands
from headrace.core.clock import iso
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.permissions import Grant
from headrace.core.permissions import PermissionPolicy as Grants
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.monitoring import DecisionLedger
from headrace.monitoring.run_details import details_path, read_details
from headrace.operations.monitor_acknowledge import acknowledge
from headrace.report_server.site import Site
from headrace.reports.monitor import render, sentences
from headrace.reports.monitor.business_figures import spread
from headrace.reports.monitor.document import status_json
from headrace.reports.monitor.facts import monitor_report, monitor_standing
from headrace.reports.monitor.model import Reign, Spread
from headrace.web.report_address import monitor_url
from tests.lake.kit import SLOTS, Meter
from tests.monitoring.watched import HOSTILE, retrained, watched

FAULTY = "2020-04-01"  # a day of week 12
ANA = Grants({"ana": Grant(frozenset({"ack"}))})


class Tags(HTMLParser):
    """The elements and attributes of a page, as a browser reads them."""

    def __init__(self, page):
        super().__init__()
        self.found, self.ids, self.links = [], set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.add(value)
            if name == "href":
                self.links.append(value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    pipeline, home, run = watched(tmp_path_factory.mktemp("watched"))
    for entry in DecisionLedger(home).entries("world"):
        if entry.decision.trigger_id:
            retrained(home, entry.decision.trigger_id)
    return pipeline, home, run


@pytest.fixture
def own(made, tmp_path):
    """A home of one's own to write into."""
    pipeline, home, _ = made
    shutil.copytree(home.root, tmp_path / "home")
    return pipeline, type(home)(tmp_path / "home")


@pytest.fixture
def command(made, monkeypatch):
    """Run `headrace monitor ...` on this pipeline."""
    pipeline, home, _ = made
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [pipeline])

    def run(*words, where=home, code=0):
        monkeypatch.setenv("HEADRACE_HOME", str(where.root))
        done = CliRunner().invoke(commands.app, ["monitor", *words])
        assert done.exit_code == code, done.output
        return done

    return run


def test_the_facts_are_those_of_the_ledger(made):
    pipeline, home, run = made
    report = monitor_report(pipeline, home)
    assert [view.action for view in report.windows] == [one.decision.action for one in run.results]
    assert report.windows[12].action == "investigate"
    assert any(view.action == "retrain" for view in report.windows[19:])
    assert report.recorded.actions == run.counts()
    assert (
        len(report.retrainings)
        == len(report.recorded.retrainings)
        == report.policy.budget - (report.budget_left)
    )
    assert report.retrainings[0].ending == "promoted"
    assert report.retrainings[0].window == report.recorded.retrainings[0].text


def test_alternatives_decide_the_same_evidence(made):
    report = monitor_report(*made[:2])
    told = {one.name: one.tally for one in report.alternatives}
    assert told["never retrain"].retrainings == ()
    eager = told["retrain on any drift"]
    assert len(eager.retrainings) > len(report.recorded.retrainings)
    faulty = report.windows[12].entry.window
    assert faulty not in eager.retrainings  # whatever the policy says


def test_figures_come_from_the_ledgers(made):
    figures = monitor_report(*made[:2]).figures
    assert (figures.windows, figures.acknowledged) == (26, 0)
    assert 15 <= figures.evaluated <= 26
    assert figures.labelled >= 20
    assert (figures.costs[0].wall_s, figures.costs[0].cpu_s, figures.costs[0].rows) == (
        4.5, 8.0, 12_000,
    )  # fmt: skip
    assert figures.pages_per_month == pytest.approx(figures.pages / (26 * 7 / 30.4375))
    assert spread([5, 1, 9, 2]) == Spread(4, 2, 9)
    assert spread([]) is None


def test_the_page_says_what_it_has_to(made):
    page = render(monitor_report(*made[:2]))
    for words in ("observed outcomes", "predicted by the model",
                  "Evidence and decisions", "Columns, window by window", "retrain on any drift",
                  "speed is missing", "compared with the champion", "By segment", "4 s",
                  "pages a month", "headrace monitor replay"):  # fmt: skip
        assert words in page
    assert page.count("<svg") > 8
    assert 10_000 < len(page) < 400_000


def test_nothing_from_data_becomes_markup(made):
    page = render(monitor_report(*made[:2]))
    tags = Tags(page)
    assert not any(tag in {"script", "iframe", "img", "link", "object"} for tag, _ in tags.found)
    assert not any(name.startswith("on") or name == "style" for _, a in tags.found for name in a)
    assert "alert(" in page  # the level's name is there, as text
    assert HOSTILE not in page
    assert all(re.match(r"#|\.\./|https?://", link) for link in tags.links)
    assert "default-src &#x27;none&#x27;" in page


def test_links_inside_the_page_lead_somewhere(made):
    tags = Tags(render(monitor_report(*made[:2])))
    assert {link[1:] for link in tags.links if link.startswith("#")} <= tags.ids
    assert any(link.startswith("#w") for link in tags.links)


def test_a_monitor_that_saw_nothing_has_a_page(tmp_path, made):
    pipeline, home, _ = made
    report = monitor_report(pipeline, type(home)(tmp_path / "empty"))
    assert report.windows == ()
    assert "No window is evaluated yet" in render(report)
    assert status_json(report, 8)["next_retraining"] is None


def test_where_no_model_is_in_charge_it_has_no_age(made):
    report = monitor_report(*made[:2])
    told = status_json(report, 8)
    assert (told["champion"], told["trained_until"], told["champion_age_days"]) == (None,) * 3
    reign = Reign("model@0", report.trained_at, "", report.trained_at)
    told = status_json(replace(report, reigns=(reign,)), 8)
    assert (told["trained_until"], told["champion_age_days"]) == (iso(report.trained_at), 176)


def test_what_was_seen_is_read_back(made):
    _, home, run = made
    seen = read_details(home, "world")
    assert [one.window for one in seen.windows] == [one.window for one in run.results]
    assert seen.windows[12].shapes == dict(run.results[12].shapes)
    assert {"all", "carrier"} <= set(seen.windows[20].rates)
    assert sum(one.rows for one in seen.windows[20].rates["carrier"]) == run.results[20].scored.rows
    assert seen.windows[8].rates == {}
    assert seen.windows[20].loss == pytest.approx(run.results[20].scored.loss, abs=1e-3)


def test_what_another_headrace_kept_for_the_eye_stops_no_command(own):
    pipeline, home = own
    before = monitor_report(pipeline, home)
    details_path(home, "world").write_text(json.dumps({"format": 99}))
    report = monitor_report(pipeline, home)
    assert [view.entry for view in report.windows] == [view.entry for view in before.windows]
    assert {view.details for view in report.windows} == {None}
    assert "Evidence and decisions" in render(report)


def test_the_report_server_has_the_page_and_the_index_leads_to_it(made):
    pipeline, home, _ = made
    site = Site([pipeline], home)
    page = site.answer("/monitor/world").body.decode()
    assert "Evidence and decisions" in page
    assert 'href="../"' in page
    assert "./monitor/world" in site.answer("/").body.decode()
    assert site.answer("/monitor/none").status == 404
    assert monitor_url("a b").endswith("/monitor/a%20b")


# -- acknowledgements ------------------------------------------------------------------------------


def test_an_acknowledgement_is_on_record_and_once(own):
    pipeline, home = own
    said = {"principal": "ana", "reason": "the sensor", "policy": ANA}
    done, new = acknowledge(pipeline, home, FAULTY, **said)
    again, second = acknowledge(pipeline, home, FAULTY, **said)
    assert (new, second) == (True, False)
    assert done == again
    report = monitor_report(pipeline, home)
    known = next(one for one in report.incidents if one.acknowledged)
    assert known.acknowledged.principal == "ana"
    assert report.figures.diagnose.count == 1
    assert "the sensor" in render(report)


def test_no_acknowledgement_is_off_the_audit_trail(own, monkeypatch):
    """Killed before it is on the trail, it is not in force either."""
    pipeline, home = own
    said = {"principal": "ana", "reason": "killed", "policy": ANA}

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headrace.operations.monitor_acknowledge.record", die)
        with pytest.raises(KeyboardInterrupt):
            acknowledge(pipeline, home, FAULTY, **said)
    assert DecisionLedger(home).acks("world") == []
    assert acknowledge(pipeline, home, FAULTY, **said)[1]
    with Ledger(home) as ledger:
        assert [one.reason for one in actions(ledger, "world")] == ["killed"]


def test_who_is_not_listed_cannot_acknowledge(own):
    pipeline, home = own
    with pytest.raises(RefusedError, match="eve is not listed"):
        acknowledge(pipeline, home, FAULTY, principal="eve", reason="x", policy=ANA)
    assert DecisionLedger(home).acks("world") == []


def test_nothing_is_on_record_of_an_acknowledgement_without_a_reason(own):
    pipeline, home = own
    with pytest.raises(DeclarationError, match="a principal and a reason"):
        acknowledge(pipeline, home, FAULTY, principal="ana", reason=" ", policy=ANA)
    assert DecisionLedger(home).acks("world") == []


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("2020-02-11", "nothing to acknowledge"),
        ("1999-01-01", "no decided window"),
        ("soon", "is not a day"),
    ],
)
def test_what_cannot_be_acknowledged(own, which, words):
    with pytest.raises(DeclarationError, match=words):
        acknowledge(*own, which, principal="ana", reason="x", policy=ANA)


# -- the commands ----------------------------------------------------------------------------------


def test_status_is_one_screen(command):
    done = command("status")
    assert "monitor world" in done.output
    assert "budget left" in done.output
    document = json.loads(command("status", "--json").output)["monitors"][0]
    assert (document["windows"], len(document["latest"])) == (26, 8)
    assert document["budget"] == {"left": 6 - document["retrainings"], "of": 6}


def test_status_of_something_open_ends_with_1(own, command):
    home = own[1]
    ledger = DecisionLedger(home)
    last = ledger.entries("world")[-1]
    fault = next(e for e in ledger.entries("world")[12].evidence if e.kind == "data_fault")
    later = replace(last.window, first=last.window.end, end=last.window.end + 7)
    found = replace(fault, window=later)
    decision = replace(last.decision, action="investigate", reasons=(found.sentence,),
                       trigger_id=None)  # fmt: skip
    ledger.append([replace(last, window=later, evidence=(found,), decision=decision)])
    done = command("status", where=home, code=1)
    assert "not acknowledged" in done.output
    assert monitor_standing(own[0], home).state == "open"
    command("ack", "last", "--reason", "on it", where=home)
    assert "on it" in command("status", where=home).output
    assert monitor_standing(own[0], home).state == "watch"


def test_all_is_not_well_while_deliveries_are_held(own, command, tmp_path, monkeypatch):
    pipeline, home = own
    meter = Meter(tmp_path)
    watching = replace(pipeline, tables=(meter.table,))
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [watching])
    meter.drop(SLOTS[0], [1])
    meter.drop(SLOTS[2], [2])
    ingest(meter.table, SLOTS[:3], home)
    done = command("status", where=home)
    assert "1 delivery missing (meter 2024-01-02)" in done.output
    meter.drop(SLOTS[3], [-1])
    meter.drop(SLOTS[4], [-1])
    ingest(meter.table, SLOTS[3:5], home)
    done = command("status", where=home, code=1)
    assert "2 deliveries held (meter 2024-01-04, meter 2024-01-05)" in done.output
    assert "All is well" not in done.output
    document = json.loads(command("status", "--json", where=home, code=1).output)["monitors"][0]
    assert document["gaps"] == [
        {"table": "meter", "held": ["2024-01-04", "2024-01-05"], "missing": ["2024-01-02"]}
    ]
    report = monitor_report(watching, home)
    quiet = replace(report, incidents=(), windows=report.windows[:3])
    assert sentences.headline(quiet).startswith("2 deliveries held")
    assert sentences.tone(quiet) == "investigate"
    assert sentences.headline(replace(quiet, gaps=())) == "All is well: nothing is open"


def test_what_the_orchestrator_is_told(made, tmp_path):
    pipeline, home, _ = made
    standing = monitor_standing(pipeline, home)
    last = monitor_report(pipeline, home).windows[-1]
    assert (standing.state == "well") == (last.action in {"none", "retrain"})
    assert standing.sentence.startswith(f"{last.entry.window.text}, {last.action}: ")
    assert standing.metadata["report"] == {"url": monitor_url("world")}
    assert monitor_standing(pipeline, type(home)(tmp_path / "empty")).state == "well"


def test_explain_tells_one_window(command):
    done = command("explain", FAULTY)
    assert "speed is missing" in done.output
    assert "investigate" in done.output
    document = json.loads(command("explain", FAULTY, "--json").output)
    assert document["attribution"]["cause"] == "data"
    assert set(document["alternatives"].values()) == {"investigate"}
    assert "is not a day" in command("explain", "soon", code=2).stderr


def test_replay_shows_what_would_have_been_otherwise(command, tmp_path):
    never = tmp_path / "never.yaml"
    never.write_text("version: 1\nretrain_on: []\n")
    document = json.loads(command("replay", "--policy", str(never), "--json").output)
    assert document["replayed"]["retrainings"] == []
    assert document["recorded"]["retrainings"]
    assert document["same_detection"]
    assert len(document["windows"]) == 26
    assert "windows whose decision differs" in command("replay", "--policy", str(never)).output
    never.write_text("version: 1\ndetection: {spread: 9}\n")
    assert "`detection:` of this policy differs" in command("replay", "--policy", str(never)).output
    assert "cannot be read" in command("replay", "--policy", str(tmp_path / "no"), code=2).stderr


def test_report_is_a_file(command, tmp_path):
    target = tmp_path / "page.html"
    done = command("report", "--out", str(target))
    (tmp_path / "file").write_text("")
    refused = command("report", "--out", str(tmp_path / "file" / "page.html"), code=3)
    assert "the report cannot be written" in refused.output
    assert str(target) in done.output
    assert target.read_text().startswith("<!doctype html>")
    assert command("report", "--out", "-").output.startswith("<!doctype html>")
