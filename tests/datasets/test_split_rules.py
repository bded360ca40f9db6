"""Splits by group and by stratum, and what is kept apart, against slow statements of the rules."""

import hashlib
import struct
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.clock import DAY, parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets import DatasetSpec, Evaluation, GroupSplits, StratifiedSplits, TimeSplits
from headrace.datasets.hashing.row_hash import row_hashes, seed_of
from headrace.datasets.splits.assignment import assign, label_cuts
from headrace.datasets.splits.rules import as_bounded_in
from headrace.datasets.vocabulary import EVALUATION, PLACES
from tests.datasets.frames import LABEL
from tests.examples import examples

START = parse_iso("2013-01-01")
BOUND = "2013-03-01"
CUTOFF = "2013-06-01"
REACH = LABEL.matures_after
MASK = (1 << 64) - 1
SHARES = (Fraction(6, 10), Fraction(2, 10), Fraction(2, 10))


def mixed(h, word):
    """splitmix64, in Python integers."""
    h = ((h ^ word) + 0x9E3779B97F4A7C15) & MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
    return h ^ (h >> 31)


def hash_of(values, salt):
    """Of int, str, float and None."""
    h = seed_of(salt)
    for value in values:
        tag, word = 0, 0
        if isinstance(value, str):
            tag = 5
            word = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")
        elif isinstance(value, float):
            tag = 2
            plain = float("nan") if value != value else value + 0.0
            (word,) = struct.unpack("<Q", struct.pack("<d", plain))
        elif value is not None:
            tag, word = 1, value & MASK
        h = mixed(mixed(h, tag), word)
    return h


def spec_of(splits, evaluation=None):
    return DatasetSpec("d", ("id",), LABEL, splits, CUTOFF, evaluation=evaluation)


def table(rows):
    return pa.table(
        {
            "id": pa.array([r["id"] for r in rows], pa.int64()),
            "who": pa.array([r["who"] for r in rows], pa.string()),
            "kind": pa.array([r["kind"] for r in rows], pa.string()),
            "t": pa.array([r["t"] for r in rows], pa.int64()),
        }
    )


def places(spec, rows):
    """Place by id, or the reason it has none."""
    if not rows:
        return {}
    t = np.array([r["t"] for r in rows])
    why = pa.chunked_array([pa.array([r["why"] for r in rows], pa.string())])
    found = assign(spec, t, why, rows=table(rows))
    assert (found.split >= 0).sum() + sum(
        sum(one.values()) for one in found.excluded.values()
    ) == len(rows)
    return {r["id"]: PLACES[n] if n >= 0 else None for r, n in zip(rows, found.split, strict=True)}


@st.composite
def rows_drawn(draw, least=0, most=60):
    size = draw(st.integers(least, most))
    ids = draw(st.permutations(range(size)))
    return [
        {
            "id": n,
            "who": draw(st.sampled_from(list("abcdefghij"))),
            "kind": draw(st.sampled_from(["x", "y", None])),
            "t": START + draw(st.integers(0, 170)) * DAY,
            "why": draw(st.sampled_from([None] * 6 + ["no outcome"])),
        }
        for n in ids
    ]


def mature(row):
    return row["t"] + REACH <= parse_iso(CUTOFF)


def by_share(h):
    for name, bound in zip(PLACES, np.cumsum(SHARES), strict=False):
        if Fraction(h, 1 << 64) < bound:
            return name
    raise AssertionError


def grouped(row, after=None):
    """The slow statement of GroupSplits for one row."""
    place = by_share(hash_of([row["who"]], "s"))
    if row["why"] or not mature(row):
        return None
    if after is not None:
        late = row["t"] >= after
        if (place == "train") == late:
            return None
        if place == "train" and row["t"] + REACH > after:
            return None
    return place


GROUPS = GroupSplits(("who",), 0.6, 0.2, 0.2, salt="s")


@settings(max_examples=examples(40))
@given(rows_drawn())
def test_groups_go_where_their_hash_says(rows):
    assert places(spec_of(GROUPS), rows) == {r["id"]: grouped(r) for r in rows}


@settings(max_examples=examples(40))
@given(rows_drawn())
def test_groups_with_a_bound_in_time(rows):
    found = places(spec_of(replace(GROUPS, after=BOUND)), rows)
    assert found == {r["id"]: grouped(r, parse_iso(BOUND)) for r in rows}


@settings(max_examples=examples(40))
@given(rows_drawn(least=1), st.randoms())
def test_a_group_never_moves(rows, random):
    """Not with other rows, not with another order, and never into two splits."""
    everything = places(spec_of(GROUPS), rows)
    some = random.sample(rows, random.randint(1, len(rows)))
    assert places(spec_of(GROUPS), some) == {r["id"]: everything[r["id"]] for r in some}
    homes = defaultdict(set)
    for row in rows:
        homes[row["who"]] |= {everything[row["id"]]} - {None}
    assert all(len(home) <= 1 for home in homes.values())


def stratified(rows, shares=SHARES, salt="s"):
    """The slow statement of StratifiedSplits, without a bound."""
    found, strata = dict.fromkeys([r["id"] for r in rows]), defaultdict(list)
    for row in rows:
        if not row["why"] and mature(row):
            strata[row["kind"]].append(row)
    for members in strata.values():
        members.sort(key=lambda r: hash_of([r["id"]], salt))
        first, second = (int(2 * share * len(members) + 1) // 2 for share in np.cumsum(shares)[:2])
        for rank, row in enumerate(members):
            found[row["id"]] = PLACES[0 if rank < first else 1 if rank < second else 2]
    return found


STRATA = StratifiedSplits(("kind",), 0.6, 0.2, 0.2, salt="s")


@settings(max_examples=examples(40))
@given(rows_drawn())
def test_strata_have_the_same_shares(rows):
    found = places(spec_of(STRATA), rows)
    assert found == stratified(rows)
    kinds = {r["id"]: r["kind"] for r in rows}
    counts = Counter((kinds[n], place) for n, place in found.items() if place)
    for kind in {kind for kind, _ in counts}:
        sizes = [counts[kind, place] for place in PLACES[:3]]
        for size, share in zip(sizes, SHARES, strict=True):
            assert abs(size - share * sum(sizes)) <= 1


@settings(max_examples=examples(40))
@given(rows_drawn(least=1), st.data())
def test_added_rows_move_no_more_rows_than_were_added(rows, data):
    added = data.draw(st.integers(0, len(rows)))
    old, new = rows[added:], rows[:added]
    before, after = places(spec_of(STRATA), old), places(spec_of(STRATA), rows)
    usable = Counter(r["kind"] for r in new if not r["why"] and mature(r))
    moved = Counter(r["kind"] for r in old if before[r["id"]] != after[r["id"]])
    for kind, number in moved.items():
        # A row next to each of the two cuts, at the most for each that was added.
        assert number <= 2 * usable[kind]


def test_how_many_rows_move_as_a_rule():
    """10 000 rows and 1 000 more: about the square root of the 1 000 at each cut, not 1 000."""
    rows = [{"id": n, "who": "a", "kind": "x", "t": START, "why": None} for n in range(11_000)]
    before, after = places(spec_of(STRATA), rows[:10_000]), places(spec_of(STRATA), rows)
    moved = sum(before[n] != after[n] for n in before)
    assert 0 < moved < 100


@settings(max_examples=examples(40))
@given(rows_drawn())
def test_strata_with_a_bound_in_time(rows):
    rule = StratifiedSplits(("kind",), 0, "1/2", "1/2", after=BOUND, embargo="1d", salt="s")
    found, bound = places(spec_of(rule), rows), parse_iso(BOUND)
    late = [r for r in rows if r["t"] >= bound]
    expected = stratified(late, (Fraction(0), Fraction(1, 2), Fraction(1, 2)))
    for row in rows:
        if row["t"] < bound:
            fine = not row["why"] and row["t"] + REACH <= bound - DAY
            expected[row["id"]] = "train" if fine else None
    assert found == expected


APART = Evaluation("0.3", BOUND)


@pytest.mark.parametrize("splits", [GROUPS, STRATA, TimeSplits("2013-02-01", BOUND, "2013-04-01")])
@pytest.mark.parametrize("group", [(), ("who",)])
@settings(max_examples=examples(20))
@given(rows=rows_drawn(), random=st.randoms())
def test_what_is_kept_apart_is_nowhere_else(splits, group, rows, random):
    spec = spec_of(splits, replace(APART, group=group))
    found = places(spec, rows)
    by = group or (("who",) if splits is GROUPS else ())
    for row in rows:
        drawn = hash_of([row[name] for name in by or ("id",)], "evaluation") < 0.3 * 2**64
        recent = row["t"] >= APART.after_us
        fine = drawn and recent and not row["why"] and mature(row)
        assert (found[row["id"]] == EVALUATION) == fine
        if by and drawn and not recent:
            assert found[row["id"]] is None, "a group that is held out is nowhere else"
    shuffled = random.sample(rows, len(rows))
    assert places(spec, shuffled) == found


def test_an_evaluation_split_is_a_fair_sample_of_each_segment():
    rows = [
        {"id": n, "who": "abc"[n % 3], "kind": "xy"[n % 7 > 0], "t": START + 80 * DAY, "why": None}
        for n in range(20_000)
    ]
    found = places(spec_of(STRATA, replace(APART, share=0.1)), rows)
    counts = Counter((r["who"], r["kind"]) for r in rows if found[r["id"]] == EVALUATION)
    sizes = Counter((r["who"], r["kind"]) for r in rows)
    for segment, size in sizes.items():
        assert abs(counts[segment] - 0.1 * size) < 4 * (0.09 * size) ** 0.5


def test_as_of_when_labels_are_read():
    cut, bound = parse_iso(CUTOFF), parse_iso(BOUND)
    t = np.array([bound - 1, bound])
    assert label_cuts(spec_of(GROUPS), t).tolist() == [cut, cut]
    assert label_cuts(spec_of(replace(GROUPS, after=BOUND)), t).tolist() == [bound, cut]
    assert label_cuts(spec_of(replace(GROUPS, after=BOUND)), t, bound - 9).tolist() == [
        bound - 9,
        bound - 9,
    ]


def test_row_hashes_are_those_of_the_specification():
    made = pa.table(
        {
            "i": pa.array([1, -1, None], pa.int32()),
            "f": [0.1, -0.0, float("nan")],
            "s": pa.array(["a", "", None]).dictionary_encode(),
        }
    )
    for salt in ("", "s"):
        expected = [hash_of(list(row.values()), salt) for row in made.to_pylist()]
        assert row_hashes(made, ("i", "f", "s"), salt).tolist() == expected


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: GroupSplits(("a",), 0.5, 0.2, 0.2), "do not add up"),
        (lambda: GroupSplits(()), "by"),
        (lambda: GroupSplits(("a",), after="2013-02-01", until="2013-01-01"), "after=2013-02-01"),
        (lambda: GroupSplits(("a",), embargo="1d"), "no effect without a time bound"),
        (lambda: GroupSplits(("a",), "x", 0.1, 0.1), "is not a share"),
        (lambda: StratifiedSplits(("a",), after="2013-02-01"), "selects training rows by time"),
        (lambda: StratifiedSplits(("a",), 0, 0.5, 0.5), "selects training rows by time"),
        (lambda: Evaluation(0, "2013-01-01"), "above 0"),
        (lambda: Evaluation(0.1, "2013-01-02", "2013-01-01"), "ends before"),
        (lambda: Evaluation(0.1, "2013-01-02", looks=0), "looks is 0"),
        (
            lambda: spec_of(TimeSplits("2013-02-01", BOUND, CUTOFF), Evaluation(0.1, "2013-02-02")),
            "choose the model",
        ),
        (lambda: spec_of(GROUPS, replace(APART, group=("kind",))), "but evaluation by"),
    ],
)
def test_declarations_that_make_no_sense(make, says):
    with pytest.raises(DeclarationError, match=says):
        make()


def test_a_row_without_a_group_is_refused():
    rows = [{"id": 1, "who": None, "kind": "x", "t": START, "why": None}]
    with pytest.raises(DeclarationError, match="the group column who is null in some rows"):
        places(spec_of(GROUPS), rows)
    with pytest.raises(DeclarationError, match="no rows are given"):
        assign(
            spec_of(GROUPS), np.array([START]), pa.chunked_array([pa.array([None], pa.string())])
        )


def test_a_rule_takes_the_moments_of_a_release():
    """Bounds that rolled on since, and nothing else; a bound that came or went is another rule."""
    then = spec_of(replace(GROUPS, after="2013-02-01"), replace(APART, until="2013-05-01"))
    now = spec_of(
        replace(GROUPS, after=BOUND, salt="new"),
        replace(APART, after="2013-04-01", until="2014-01-01"),
    )
    splits, apart = as_bounded_in(then.split_form(), now.splits, now.evaluation)
    assert splits == replace(then.splits, salt="new", after="2013-02-01T00:00:00Z")
    assert (apart.after_us, apart.until_us) == (then.evaluation.after_us, parse_iso("2013-05-01"))
    assert as_bounded_in(then.split_form(), GROUPS, None) == (GROUPS, None)
    times = TimeSplits("2013-01-01", "2013-02-01", "2013-03-01")
    moved, _ = as_bounded_in(
        times.form(), TimeSplits("2013-01-05", "2013-02-05", "2013-03-05"), None
    )
    assert moved.bounds == times.bounds


@pytest.mark.parametrize("evaluation", [None, APART])
def test_in_strata_too_a_row_is_left_out_for_a_declared_reason_alone(evaluation):
    """No row without a label has a place in a stratum; why it has none is told all the same."""
    late = parse_iso(CUTOFF) - REACH
    why = ["no outcome", "cancelled", None, None]
    rows = [
        {"id": n, "who": "a", "kind": "x", "t": late + (n == 2), "why": one}
        for n, one in enumerate(why)
    ]
    t = np.array([one["t"] for one in rows])
    reasons = pa.chunked_array([pa.array(why, pa.string())])
    spec = spec_of(STRATA, evaluation)
    with pytest.raises(DeclarationError, match="undeclared reasons \\['cancelled'\\]"):
        assign(spec, t, reasons, rows=table(rows))
    if evaluation is None:
        spec = replace(spec, left_out=("no outcome", "cancelled"))
        found = assign(spec, t, reasons, rows=table(rows))
        assert found.excluded == {"outside": {"cancelled": 1, "immature": 1, "no outcome": 1}}
