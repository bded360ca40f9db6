"""Decisions on a page: done as the commands do, and refused to all who are not this machine."""

import pytest

from headrace.core.permissions import local_user
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from tests.reports import world
from tests.reports.acting import pages


@pytest.fixture(scope="module")
def site(flights, tmp_path_factory):
    """For tests that are refused, and change nothing but the record."""
    with pages(flights, tmp_path_factory.mktemp("acting")) as opened:
        yield opened


def test_an_approval_goes_from_the_page_to_the_published_day(flights, tmp_path):
    with pages(flights, tmp_path) as site:
        day = world.KILOMETRES
        _, page = site.ask("GET", site.path(day))
        for action in ("ack", "release", "reject"):
            assert f'name="action" value="{action}"' in page
        assert f"<strong>{local_user()}</strong>" in page

        answer, _ = site.send(action="ack", reason="on it")
        assert (answer.status, answer.headers["Location"]) == (303, f"./{site.path(day)[16:]}#top")
        answer, _ = site.send(action="release", reason="planning needs it", expires="7d")
        assert answer.status == 303
        assert site.batch(day)["state"] == "published"
        me = local_user()
        assert site.recorded() == [
            (me, "ack", True, "on it"),
            (me, "release", True, "planning needs it"),
        ]
        _, page = site.ask("GET", site.path(day))
        assert f"release by {me}" in page
        assert site.told == [("schedule", "ack"), ("schedule", "release")]
        with Ledger(site.home) as ledger:
            assert actions(ledger)[-1].expires_at is not None


def test_an_approval_can_accept_the_findings_in_later_batches(flights, tmp_path):
    with pages(flights, tmp_path) as site:
        _, page = site.ask("GET", site.path(world.KILOMETRES))
        assert '<select id="right_until" name="right_until">' in page
        answer, _ = site.send(action="release", reason="they moved to km", right_until="90d")
        assert answer.status == 303
        with Ledger(site.home) as ledger:
            release, accept = actions(ledger)
        assert (release.action, release.expires_at) == ("release", None)
        (finding,) = [f for f in accept.scope["findings"] if f["kind"] == "unit_change"]
        assert (finding["columns"], finding["facts"]["to"]) == (["distance"], "kilometre")
        _, page = site.ask("GET", site.path(world.KILOMETRES))
        assert "unit change of distance" in page


def test_a_rejection_closes_the_day(flights, tmp_path):
    with pages(flights, tmp_path) as site:
        assert site.send(world.TORN, action="reject", reason="half a file")[0].status == 303
        assert site.batch(world.TORN)["state"] == "rejected"


def test_the_policy_decides_and_its_refusal_is_shown_and_recorded(site, tmp_path, monkeypatch):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nprincipals:\n  ana: {actions: all}\n")
    monkeypatch.setenv("HEADRACE_POLICY", str(policy))
    answer, page = site.send(action="release", reason="trying <b>it</b>")
    assert answer.status == 403
    assert f"refused: {local_user()} is not listed in the policy" in page
    assert "trying &lt;b&gt;it&lt;/b&gt;</textarea>" in page
    assert (local_user(), "release", False, "trying <b>it</b>") in site.recorded()
    assert site.batch(world.KILOMETRES)["state"] == "pending"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "release", "reason": " "}, "a reason is missing"),
        ({"action": "", "reason": "x"}, "no action was chosen"),
        ({"action": "mute", "reason": "x"}, "no action was chosen"),
        ({"action": "release", "reason": "x", "expires": "soon"}, "&#x27;soon&#x27;"),
    ],
)
def test_a_form_that_lacks_something_is_shown_again(site, fields, said):
    answer, page = site.send(**fields)
    assert answer.status == 422
    assert said in page
    assert site.batch(world.KILOMETRES)["state"] == "pending"


OTHERS = [
    ("another site", {"Origin": "http://evil.example"}, {}),
    ("a page that hides where it is from", {"Origin": "null"}, {}),
    ("another port of this machine", {"Origin": "http://127.0.0.1:1"}, {}),
    ("a browser that says it is another site", {"Sec-Fetch-Site": "cross-site"}, {}),
    ("a reader behind a proxy", {"X-Forwarded-For": "10.0.0.9"}, {}),
    ("a form without the secret", {}, {"token": ""}),
    ("a form of another process", {}, {"token": "x" * 43}),
]


@pytest.mark.parametrize(("who", "headers", "fields"), OTHERS, ids=[one[0] for one in OTHERS])
def test_nothing_is_done_for(site, who, headers, fields):
    before = site.recorded()
    answer, page = site.send(action="reject", reason="not mine", headers=headers, **fields)
    assert answer.status == 403, who
    assert "Nothing was done" in page
    assert site.recorded() == before
    assert site.batch(world.KILOMETRES)["state"] == "pending"


def test_a_name_that_somebody_gave_to_this_machine_is_refused(site, monkeypatch):
    """DNS may point any name here; also the name under which people read is no name to act by."""
    host = "rebound.example"
    headers = {"Host": host, "Origin": f"http://{host}"}
    answer, _ = site.send(action="reject", reason="not mine", headers=headers)
    assert answer.status == 421
    assert site.ask("GET", site.path(world.KILOMETRES), Host=host)[0].status == 421


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_a_page_acts_under_each_name_of_the_loopback(site, name):
    _, page = site.ask("GET", site.path(world.KILOMETRES), Host=f"{name}:8080")
    assert 'name="token"' in page


def test_a_reader_behind_a_proxy_sees_no_buttons(site):
    answer, page = site.ask("GET", site.path(world.KILOMETRES), Via="1.1 proxy")
    assert answer.status == 200
    assert "<form" not in page
    assert "form-action 'none'" in answer.headers["Content-Security-Policy"]
    _, page = site.ask("GET", site.path(world.KILOMETRES))
    assert "<form" in page


def test_a_server_that_others_reach_is_read_only(flights, tmp_path):
    with pages(flights, tmp_path, host="0.0.0.0") as site:
        _, page = site.ask("GET", site.path(world.KILOMETRES))
        assert "Needs a decision" in page
        assert "<form" not in page
        answer, page = site.send(action="reject", reason="not mine", token="")
        assert answer.status == 403
        assert "read-only" in page
        assert site.recorded() == []


def test_a_form_of_any_length_is_not_read(site):
    answer, _ = site.send(action="reject", reason="x" * 70_000)
    assert answer.status == 413
