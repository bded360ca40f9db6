"""The page: whatever data says stays text, and what is said first is what matters first."""

from dataclasses import replace
from html.parser import HTMLParser
from itertools import count, cycle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.reports.batch import render
from headrace.reports.batch.index import Index, Line, render_index
from headrace.web.html import Html, element, is_link, text
from headrace.web.style import CSS, POLICY
from tests.examples import examples
from tests.reports.given import NOW, a_report

STATES = ("pending", "published", "superseded", "rejected", "recalled", "judged")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;b&gt; &amp; &#60;",
    "]]><!-- -->",
    "\u202egnp.exe\u200b\x00\ud800",
]


class Shape(HTMLParser):
    """Tags and names of attributes in order, and the addresses that can be followed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs if name != "href")))
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self.tags.append(("/", tag))


def words():
    numbers = count()
    return lambda: f"word{next(numbers)}"


def shape(page: str) -> list[tuple[str, ...]]:
    """Without what depends on whether an address can be followed."""
    return [tag for tag in Shape(page).tags if tag[0] not in {"a", "br"} and tag != ("/", "a")]


@settings(max_examples=examples(60), deadline=None)
@example(HOSTILE, "pending")
@example(HOSTILE, "superseded")
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.sampled_from(STATES))
def test_no_text_becomes_markup(texts, state):
    """Each text of the report is one of these in turn: its page has the shape of a harmless one."""
    turns = zip(cycle(texts), count())
    hostile = render(a_report(lambda: "x{}.{}.".format(*next(turns)), state=state))
    assert shape(hostile) == shape(render(a_report(words(), state=state)))


@given(st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_a_text_alone_is_text(value):
    page = element("p", value, title=value)
    assert Shape(page).tags == [("p", "title"), ("/", "p")]
    assert page.encode()  # lone surrogates cannot be sent


@pytest.mark.parametrize("value", HOSTILE)
def test_links_lead_to_pages_only(value):
    assert "href" not in element("a", "go", href=value)
    report = a_report(lambda: value)
    assert all(is_link(link) for link in Shape(render(report)).links)


def test_what_cannot_be_seen_is_shown():
    assert text("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"


def test_markup_is_only_what_was_made_as_such():
    assert element("p", element("b", "x")) == "<p><b>x</b></p>"
    assert element("p", str(Html("<b>"))) == "<p>&lt;b&gt;</p>"


@pytest.mark.parametrize("state", STATES)
def test_the_page_asks_for_nothing_and_runs_nothing(state):
    page = render(a_report(words(), state=state))
    names = {tag[0] for tag in Shape(page).tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form", "base", "video"}
    assert not {name for tag in Shape(page).tags for name in tag[1:] if name.startswith("on")}
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert "style-src 'sha256-" in POLICY


@pytest.mark.parametrize("state", STATES)
def test_headings_captions_and_labels_are_there(state):
    tags = Shape(render(a_report(words(), state=state))).tags
    assert [tag[0] for tag in tags].count("h1") == 1
    assert tags.count(("caption",)) + tags.count(("caption", "class")) == [
        t[0] for t in tags
    ].count("table")
    assert all({"role", "aria-label"} <= set(tag) for tag in tags if tag[0] == "svg")
    assert ("html", "lang") in tags


def test_the_order_is_what_matters_first():
    page = render(a_report(words()))
    parts = ["reach", "why", "nothing", "rows", "compare", "history", "lineage", "log", "act"]
    order = [page.index(f'id="{part}"') for part in parts]
    assert order == sorted(order)
    assert page.index("<h1>") < order[0]


@pytest.mark.parametrize(
    ("state", "verdict", "said"),
    [
        ("pending", "BLOCK", "Needs a decision"),
        ("pending", "ERROR", "says nothing about the data"),
        ("published", "QUARANTINE", "Can wait"),
        ("superseded", "BLOCK", "A later delivery of this partition passed"),
        ("rejected", "BLOCK", "The batch was rejected"),
        ("recalled", "PASS", "It was published and is recalled"),
        ("judged", "PASS", "Under way"),
    ],
)
def test_whether_to_act_is_said(state, verdict, said):
    assert said in render(a_report(words(), state=state, verdict=verdict))


def test_a_named_cause_is_the_headline():
    report = a_report(words())
    named = replace(report.judgement.results[0], reason="distance is in kilometres")
    others = [r for r in report.judgement.results[1:] if r.status != "error"]
    judgement = replace(report.judgement, results=(*others, named))
    page = render(replace(report, judgement=judgement))
    assert "<h1>Distance is in kilometres</h1>" in page


@example(HOSTILE[0])
@given(st.text(min_size=1))
def test_the_index_keeps_text_text(value):
    line = Line("x" + value, value, "id" + value, "BLOCK", "pending", 5, 1, value, NOW)
    plain = replace(line, table="x", slot="y", batch_id="z", summary="s")
    pages = [render_index(Index((one.table,), (one,), (one,), 3, NOW)) for one in (line, plain)]
    assert shape(pages[0]) == shape(pages[1])
