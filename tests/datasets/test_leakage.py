"""Twins and shared groups: counted as a slow oracle counts them, and in the way of a release."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.datasets import GroupSplits, Leakage, release
from headrace.datasets.splits.leakage import shared_groups, significant, twins_of
from headrace.datasets.vocabulary import PLACES
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put
from tests.examples import examples

NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.0, 1.0 + 1e-12, 1.1, math.nan, math.inf, -2e300])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        NUMBERS,
        st.sampled_from([None, 1, 2]),
        st.sampled_from([None, "a", ""]),
    ),
    max_size=40,
)


def table(rows):
    return pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "split": pa.array([r[0] for r in rows], pa.string()),
            "x": pa.array([r[1] for r in rows], pa.float64()),
            "n": pa.array([r[2] for r in rows], pa.int64()),
            "s": pa.array([r[3] for r in rows], pa.string()),
        }
    )


def plain(value, digits):
    """What a value is compared as: its shortest text with so many digits."""
    if isinstance(value, float):
        return f"{value + 0.0:.{digits - 1}e}" if digits else repr(value + 0.0)
    return value


@settings(max_examples=examples(60))
@example([("train", 0.0, None, "a"), ("test", -2e300, None, "a")], 9, 1)
@example([("train", 1.0, 1, "a"), ("train", 1.0, 1, "a"), ("test", 1.0, 1, "a")], None, 1)
@example([("train", None, None, None), ("test", None, None, None)], None, 3)
@given(ROWS, st.sampled_from([None, 9]), st.sampled_from([1, 3, 50]))
def test_twins_are_those_a_loop_finds(rows, digits, common):
    vectors = [tuple(plain(v, digits) for v in row[1:]) for row in rows]
    train = Counter(v for v, row in zip(vectors, rows, strict=True) if row[0] == "train")
    expected = {
        place: sum(
            1 <= train[v] <= common and v != (None,) * 3
            for v, row in zip(vectors, rows, strict=True)
            if row[0] == place
        )
        for place in PLACES[1:]
        if any(row[0] == place for row in rows)
    }
    found = twins_of(table(rows), ["x", "n", "s"], ["id"], Leakage(digits=digits, common=common))
    assert {one.split: one.rows for one in found} == expected
    for one in found:
        assert one.of == sum(row[0] == one.split for row in rows)
        for pair in one.examples:
            here, there = pair["row"], pair["twin"]
            assert (here["split"], there["split"]) == (one.split, "train")
            assert vectors[here["id"]] == vectors[there["id"]]


@settings(max_examples=examples(60))
@given(ROWS)
def test_shared_groups_are_those_a_loop_finds(rows):
    expected = {}
    for n, place in enumerate(PLACES[1:], start=1):
        mine = [row for row in rows if row[0] == place]
        before = {row[2:] for row in rows if row[0] in PLACES[:n]}
        if mine:
            expected[place] = sum(row[2:] in before for row in mine)
    found = shared_groups(table(rows), ["n", "s"], ["id"])
    assert {one.split: one.rows for one in found} == expected


@settings(max_examples=examples(50))
@given(st.floats(1e-200, 1e200), st.integers(1, 12))
def test_rounding_is_to_significant_digits(value, digits):
    shown = float(f"{value:.{digits - 1}e}")
    found = significant(np.array([value, -value]), digits)
    assert found[0] == -found[1]
    assert math.isclose(found[0], shown, rel_tol=2 * 10.0 ** (1 - digits))
    again = significant(found, digits)
    np.testing.assert_allclose(again, found, rtol=1e-15)


def released(tmp_path, rows, **changes):
    return release(
        replace(SPEC, **changes),
        rows,
        inputs=INPUTS,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=tmp_path,
    )


def with_twins(share=0.05):
    """Some rows of April tell of a row of January: features and label, under another key."""
    rows, rng = frame(), np.random.default_rng(5)
    t = rows.column("t").to_numpy()
    late = np.flatnonzero(t >= SPEC.splits.bounds[1])
    chosen = late[: int(len(late) * share)]
    source = np.arange(rows.num_rows)
    source[chosen] = rng.integers(0, 500, len(chosen))
    for name in rows.column_names:
        if "__" in name:
            rows = put(rows, name, rows.column(name).take(pa.array(source)))
    return rows


def test_a_frame_as_it_comes_has_none(tmp_path):
    manifest = released(tmp_path, frame())
    assert manifest.leakage == {"twins": {"valid": 0, "test": 0}, "groups": {}, "because": ""}


def test_twins_under_other_keys_block_a_release(tmp_path):
    with pytest.raises(DeclarationError) as told:
        released(tmp_path, with_twins())
    text = str(told.value)
    assert "agree in all 4 features with a row of train" in text
    assert "rows of test (" in text
    assert "1.00% are allowed" in text
    assert "test {'flight': 'F0" in text
    assert "train {'flight': 'F0" in text
    assert "because=" in text
    assert not (tmp_path / "datasets").exists(), "nothing was released"


def test_what_is_rounded_or_left_aside_is_found_as_well(tmp_path):
    noisy = with_twins()
    wind = noisy.column("weather__wind").to_numpy() * (1 + 1e-13)
    noisy = put(noisy, "weather__wind", pa.array(wind))
    with pytest.raises(DeclarationError, match="all 4 features"):
        released(tmp_path, noisy)
    other = put(noisy, "calendar__hour", pa.array(np.arange(noisy.num_rows)))
    assert released(tmp_path, other).leakage["twins"]["test"] == 0
    with pytest.raises(DeclarationError, match="all 3 features"):
        released(tmp_path, other, leakage=Leakage(ignore=("calendar__h*",)))
    with pytest.raises(DeclarationError, match="no feature matches 'nothing'"):
        released(tmp_path, other, leakage=Leakage(ignore=("nothing",)))


def test_a_reason_is_kept_and_changing_it_is_a_patch(tmp_path):
    because = "a twin is the same aeroplane on its way back"
    first = released(tmp_path, with_twins(), leakage=Leakage(because=because))
    assert first.leakage["because"] == because
    assert first.leakage["twins"]["test"] > 30
    wider = released(tmp_path, with_twins(), leakage=Leakage(share=0.1))
    assert (wider.version, wider.reasons) == ("1.0.1", ("leakage that is allowed: changed",))


def test_an_entity_in_two_splits_blocks_where_the_rule_forbids_it(tmp_path):
    with pytest.raises(DeclarationError, match="the same origin is in more than one split") as told:
        released(tmp_path, frame(), leakage=Leakage(group=("origin",)))
    assert "GroupSplits" in str(told.value)
    apart = GroupSplits(("calendar__carrier",), 0.5, 0.25, 0.25)
    manifest = released(tmp_path, frame(), splits=apart)
    assert set(manifest.leakage["groups"].values()) <= {0}
    with pytest.raises(DeclarationError, match="the same origin"):
        released(tmp_path, frame(), splits=apart, leakage=Leakage(group=("origin",)))


@pytest.mark.parametrize("wrong", [{"share": 2}, {"digits": 0}, {"common": 0}])
def test_declarations_of_leakage_that_make_no_sense(wrong):
    with pytest.raises(DeclarationError, match="Leakage"):
        Leakage(**wrong)


@pytest.mark.slow
def test_ten_million_rows_are_checked_in_bounded_memory():
    rows, rng = 10_000_000, np.random.default_rng(0)
    made = {f"x{n}": rng.normal(size=rows) for n in range(10)}
    made["id"] = np.arange(rows)
    given_rows = pa.table(made).append_column(
        "split", pa.array(np.array(["train", "valid", "test"])[np.arange(rows) % 10 // 4])
    )
    found = twins_of(given_rows, [f"x{n}" for n in range(10)], ["id"], Leakage())
    assert [one.rows for one in found] == [0, 0]
