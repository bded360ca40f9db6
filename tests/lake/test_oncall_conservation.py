"""Whatever is delivered, judged and done about it, every row has one fate, and can be found.

And none is usable before it was shown: what comes back is usable from then on.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError, RefusedError
from headrace.lake.ingest.protocol import outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides import recall as recalling
from headrace.lake.overrides.audit_trail import Action, actions
from headrace.lake.overrides.available_actions import available_actions
from headrace.lake.overrides.batch_case import open_case
from headrace.lake.overrides.failing_rows import failing_rows
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from tests.examples import examples
from tests.lake.kit import SLOTS, Meter, balanced, meter_suite
from tests.lake.kit_oncall import GIVEN, act, run

DAYS = SLOTS[:2]
VALUES = st.lists(st.sampled_from([1, 2, 900, 2000, 3000, -1, -2, None]), min_size=1, max_size=5)
LINES = st.lists(st.integers(2, 6), min_size=1, max_size=3, unique=True)
SCOPES = st.one_of(
    st.just({}),
    st.builds(lambda lines: {"lines": lines}, LINES),
    st.sampled_from(
        [{"checks": ["limit"]}, {"checks": ["negative"]}, {"checks": ["quarantine:1"]}]
    ),
)
SUITES = st.tuples(
    st.sampled_from(["quarantine", "warn", "block"]),
    st.sampled_from(["quarantine", "block"]),
    st.sampled_from([0.3, 1.0]),
)
STEPS = st.one_of(
    st.tuples(st.just("drop"), st.sampled_from(DAYS), VALUES),
    st.tuples(st.just("again"), st.integers(0, 5), st.none()),
    st.tuples(st.just("suite"), SUITES, st.none()),
    st.tuples(st.sampled_from(["release", "reject"]), st.integers(0, 5), SCOPES),
    st.tuples(st.just("quarantine"), st.integers(0, 5), SCOPES),
    st.tuples(st.sampled_from(["rerun", "recall", "restore"]), st.integers(0, 5), st.none()),
    st.tuples(st.sampled_from(["mute", "unmute"]), st.sampled_from(["limit", "negative"]),
              st.none()),
)  # fmt: skip
STORY = st.tuples(
    SUITES, st.lists(st.tuples(st.just("drop"), st.sampled_from(DAYS), VALUES), min_size=1,
                     max_size=3), st.lists(STEPS, min_size=3, max_size=8),
)  # fmt: skip


@dataclass
class Story:
    """A meter, what was dropped, and how many rows that was."""

    meter: Meter
    suite: tuple
    raw: int = 0
    drops: list = field(default_factory=list)
    suites: list = field(default_factory=list)
    usable: dict = field(default_factory=dict)
    moment: int = 0

    def __post_init__(self):
        self.suites.append(self.suite)

    @property
    def table(self):
        limit, negative, share = self.suite
        base = meter_suite()
        first, second = base.expectations
        checks = (replace(first, action=limit), replace(second, action=negative))
        return replace(
            self.meter.table, suite=replace(base, expectations=checks, max_quarantined_share=share)
        )

    def tell(self, step):
        self.moment = now_us()
        verb, what, more = step
        if verb == "drop":
            self.drop(what, ["" if value is None else value for value in more])
        elif verb == "again":
            self.drop(*self.drops[what % len(self.drops)])
        elif verb == "suite":
            self.suite = what
            self.suites.append(what)
        elif verb in {"mute", "unmute"}:
            ends = {"expires": now_us() + 10**12} if verb == "mute" else {}
            getattr(batch_actions, verb)(self.meter.home, self.table, [what], **GIVEN, **ends)
        else:
            with Ledger(self.meter.home) as ledger:
                batches = sorted(ledger.batches("meter"))
            self.act(verb, batches[what % len(batches)], {} if more is None else {"scope": more})
        run(self.meter, DAYS, self.table)

    def act(self, verb, batch, scope):
        """Do it, and hold what was offered for the batch against what came of it."""
        offer = available_actions(open_case(self.meter.home, self.table, batch))[verb]
        named = bool(scope.get("scope"))
        try:
            changed = self.do(verb, batch, scope)
        except RefusedError:
            assert named or not offer.allowed, (verb, offer)
            raise
        # With rows or checks named, less may be accepted than was offered, never more.
        assert changed <= offer.allowed if named else changed == offer.allowed, (verb, offer)

    def do(self, verb, batch, scope):
        if verb in {"recall", "restore"}:
            action = Action("ana", verb, "meter", "it was wrong", batch_id=batch)
            if verb == "recall":
                return recalling.recall(self.meter.home, action).decided
            return recalling.restore(self.meter.home, self.table, action).decided
        return act(self.meter, verb, batch, self.table, **scope)["changed"]

    def drop(self, slot, values):
        number = len(self.drops)
        self.drops.append((slot, values))
        self.meter.drop(slot, values, name=f"_{number}", arrived=number)
        self.raw += len(values)


def play(story):
    suite, first, rest = story
    with TemporaryDirectory() as folder:
        one = Story(Meter(Path(folder)), suite)
        for step in (*first, *rest):
            try:
                one.tell(step)
            except (RefusedError, DeclarationError):
                run(one.meter, DAYS, one.table)
            check(one)
        assert outstanding(one.table, DAYS, one.meter.home) == []
        before = content(one)
        assert not any(r.changed for r in run(one.meter, DAYS, one.table))
        assert content(one) == before


def content(story):
    return published(story), table_status(story.meter.home, story.table)


def published(story):
    """{(batch, line): value}: what the table shows."""
    lake = Lake(story.meter.home)
    if lake.snapshot_id("meter") is None:
        return {}
    rows = lake.scan("meter", ["_batch", "_line", "value"]).to_pylist()
    found = {(r["_batch"], r["_line"]): r["value"] for r in rows}
    assert len(found) == len(rows)
    return found


def check(story):
    """Counts, rows and fates agree."""
    table, home = story.table, story.meter.home
    status = table_status(home, table)
    assert balanced(status)
    apart = status["repeated"] + status["redelivered"]["rows"] + status["superseded"]["rows"]
    assert status["delivered"] + apart == story.raw
    live = published(story)
    assert len(live) == status["published"]
    check_times(story)
    check_versions(story)
    with Ledger(home) as ledger:
        batches, trail = ledger.batches("meter"), actions(ledger)
    fates = Counter()
    for batch_id in batches:
        case = open_case(home, table, batch_id)
        rows = failing_rows(case)
        lines = {r["line"]: r for r in rows}
        assert all(r["reasons"] and r["key"] for r in rows)
        fates.update(r["fate"] for r in rows if r["fate"] in {"quarantined", "rejected"})
        for (batch, line), value in live.items():
            if batch == batch_id and line in lines:
                justified(story, trail, batch_id, lines[line], value)
        for line, row in lines.items():
            assert (row["fate"] == "published") == ((batch_id, line) in live)
    assert fates["quarantined"] == status["quarantined"]
    of_whole = sum(
        len(values)
        for batch_id, batch in batches.items()
        if batch.state in {"rejected", "recalled"}
        for values in [rows_of(story, batch)]
    )
    assert fates["rejected"] <= status["rejected"] <= fates["rejected"] + of_whole


def check_versions(story):
    """The table never holds two values of one key and known-at."""
    lake = Lake(story.meter.home)
    if lake.snapshot_id("meter") is None:
        return
    columns = lake.scan("meter", ["id", "known_at", "value"]).to_pydict().values()
    versions = set(zip(*columns, strict=True))
    assert len({version[:2] for version in versions}) == len(versions)


def check_times(story):
    """What is shown keeps its time; what comes, or comes back, is usable from now on."""
    before, story.usable = story.usable, {}
    if Lake(story.meter.home).snapshot_id("meter") is None:
        return
    rows = history(story.meter.home, "meter", ["value"])
    keys = zip(rows["_batch"].to_pylist(), rows["_line"].to_pylist(), strict=True)
    story.usable = dict(zip(keys, rows["committed_at"].to_pylist(), strict=True))
    for key, at in story.usable.items():
        if key in before:
            assert at == before[key]
        else:
            assert at > story.moment - 1_000  # commits are dated in milliseconds


def rows_of(story, batch):
    return next(v for n, (_, v) in enumerate(story.drops) if batch.origin.endswith(f"_{n}.csv"))


def justified(story, trail, batch_id, row, value):
    """A failing row is published because a check only warns, or did when it was published (what is
    blocked later keeps serving), is muted, or because somebody released it.
    """
    done = [a for a in trail if a.allowed and a.batch_id == batch_id and a.action == "release"]
    muted = [a for a in trail if a.allowed and a.action == "mute"]
    hard = all(
        (value > 1000 and limit != "warn") or (value < 0 and negative != "warn")
        for limit, negative, _ in story.suites
    )
    assert done or muted or not hard, (row, value)
    by_hand = [why["check"] for why in row["reasons"] if why["check"].startswith("reject:")]
    assert not by_hand


# A story takes a second: to make a failing one shorter would take many minutes.
STEADY = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate),
}


@settings(max_examples=examples(6), derandomize=True, **STEADY)
@given(STORY)
def test_every_row_has_one_fate_whatever_people_do(story):
    play(story)


@pytest.mark.slow
@settings(max_examples=80, **STEADY)
@given(STORY)
def test_every_row_has_one_fate_in_many_stories(story):
    play(story)


HELD, BLOCKED = ("quarantine", "block", 0.3), ("warn", "block", 0.3)
RELEASED = [("drop", DAYS[1], [2000, 2, 900, -2, 3000]), ("release", 0, None)]


def test_a_release_that_lapses_and_holds_again_is_usable_from_its_return(tmp_path):
    """Each time; and what was usable before stays usable for moments of before."""
    story = Story(Meter(tmp_path), HELD)
    for step in [*RELEASED, *2 * [("suite", BLOCKED, None), ("suite", HELD, None)]]:
        story.tell(step)
        check(story)
    with Ledger(story.meter.home) as ledger:
        assert [batch.state for batch in ledger.batches("meter").values()] == ["published"]
    rows = history(story.meter.home, "meter", ["value"])
    assert [len(spans) for spans in rows["_shown_before"].to_pylist()] == [2, 2]


def test_a_release_leaves_although_the_run_in_which_it_lapsed_was_killed(tmp_path, monkeypatch):
    story = Story(Meter(tmp_path), HELD)
    for step in RELEASED:
        story.tell(step)
    assert len(published(story)) == 2

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            story.tell(("suite", BLOCKED, None))
    run(story.meter, DAYS, story.table)
    assert published(story) == {}
    check(story)
