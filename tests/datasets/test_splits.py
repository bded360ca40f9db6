import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.clock import DAY, HOUR, duration, parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets import DatasetSpec, TimeSplits, label_cuts
from headrace.datasets.splits.assignment import assign, check_keys
from headrace.features.spec import Label
from tests.datasets.frames import SPEC

T1, T2, T3 = SPEC.splits.bounds
CUT = SPEC.cutoff_us
REACH = 48 * HOUR


def reasons(*values):
    return pa.chunked_array([pa.array(values, pa.string())])


def place(t, reason=None, spec=SPEC, cutoff=None):
    """Where one row goes: the split's name, or (split it would be in, reason)."""
    given_row = assign(spec, np.array([t]), reasons(reason), cutoff)
    if given_row.split[0] >= 0:
        assert given_row.excluded == {}
        return ("train", "valid", "test")[given_row.split[0]]
    ((where, counted),) = given_row.excluded.items()
    ((why, number),) = counted.items()
    assert number == 1
    return where, why


@pytest.mark.parametrize(
    "t, reason, expected",
    [
        (T1 - REACH, None, "train"),
        (T1 - REACH + 1, None, ("train", "embargo")),
        (T1 - 1, None, ("train", "embargo")),
        (T1, None, "valid"),
        (T2 - REACH, None, "valid"),
        (T2 - REACH + 1, None, ("valid", "embargo")),
        (T2, None, "test"),
        (CUT - REACH, None, "test"),
        (CUT - REACH + 1, None, ("test", "immature")),
        (T3, None, ("outside", "outside")),
        (T1 - REACH, "cancelled", ("train", "cancelled")),
        (T2, "no outcome", ("test", "no outcome")),
        # By the clock, not by the label: an early answer does not make a row mature.
        (CUT - 1, None, ("test", "immature")),
        (CUT - 1, "cancelled", ("test", "immature")),
        (T1 - 1, "cancelled", ("train", "embargo")),
    ],
)
def test_where_a_row_goes(t, reason, expected):
    assert place(t, reason) == expected


def test_an_earlier_cutoff_leaves_out_more():
    assert place(T2, cutoff=T1) == ("test", "immature")
    assert place(T1 - REACH, cutoff=T1) == "train"
    assert place(T1 - REACH, cutoff=T1 - 1) == ("train", "immature")


def test_a_declared_embargo_comes_on_top():
    wider = dataclasses.replace(SPEC, splits=dataclasses.replace(SPEC.splits, embargo="1d"))
    assert place(T1 - REACH - DAY, spec=wider) == "train"
    assert place(T1 - REACH - DAY + 1, spec=wider) == ("train", "embargo")


@pytest.mark.parametrize(
    "t, expected", [(T1 - 1, T1), (T1, T2), (T2 - 1, T2), (T2, CUT), (T3, CUT), (T3 + DAY, CUT)]
)
def test_as_of_when_a_label_is_read(t, expected):
    assert label_cuts(SPEC, np.array([t])).tolist() == [expected]


def test_no_label_is_read_after_the_cutoff():
    assert label_cuts(SPEC, np.array([T1 - 1, T1, T2]), T1 - 5).tolist() == [T1 - 5] * 3


def test_an_undeclared_reason_is_refused():
    with pytest.raises(DeclarationError, match=r"undeclared reasons \['vanished'\]"):
        place(T2, "vanished")
    with pytest.raises(DeclarationError, match="label_cuts"):
        place(T2, "immature")
    assert place(CUT - 1, "vanished") == ("test", "immature")


@st.composite
def specs(draw):
    start = parse_iso("2013-01-01")
    bounds = sorted(draw(st.sets(st.integers(1, 90), min_size=3, max_size=3)))
    moments = [f"2013-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in bounds]
    horizon, settle = draw(st.integers(1, 100)), draw(st.integers(0, 50))
    label = Label("y", "o", ("k",), ("y",), f"{horizon}h", f"{settle}h")
    cutoff = f"2013-{draw(st.integers(1, 5)):02d}-15"
    splits = TimeSplits(*moments, embargo=f"{draw(st.integers(0, 72))}h")
    t = draw(st.lists(st.integers(start - DAY, start + 120 * DAY), min_size=1, max_size=60))
    why = draw(st.lists(st.sampled_from([None, "no outcome"]), min_size=len(t), max_size=len(t)))
    return DatasetSpec("d", ("k",), label, splits, cutoff), np.array(t), why


@given(specs())
def test_properties_of_any_split(case):
    spec, t, why = case
    given_rows = assign(spec, t, reasons(*why))
    left = sum(sum(counts.values()) for counts in given_rows.excluded.values())
    assert (given_rows.split >= 0).sum() + left == len(t), "every row is accounted for"
    reach = duration(spec.label.horizon) + duration(spec.label.settle)
    for n in range(3):
        mine = t[given_rows.split == n]
        later = t[given_rows.split > n]
        assert (mine + reach <= spec.cutoff_us).all(), "mature at the cutoff"
        assert (mine + reach <= label_cuts(spec, mine)).all(), "mature at the row's own cut"
        if len(mine) and len(later):
            gap = later.min() - (mine.max() + reach)
            assert gap >= spec.splits.embargo_us, "an embargo before what follows"
    assert all(why[n] is None for n in np.flatnonzero(given_rows.split >= 0))


@given(specs())
def test_a_row_goes_where_it_goes_alone(case):
    spec, t, why = case
    together = assign(spec, t, reasons(*why)).split
    alone = [assign(spec, t[n : n + 1], reasons(why[n])).split[0] for n in range(len(t))]
    assert together.tolist() == alone


def test_splits_out_of_order_are_refused():
    with pytest.raises(DeclarationError, match="follow each other"):
        TimeSplits("2013-03-01", "2013-03-01", "2013-05-01")


@pytest.mark.parametrize(
    "splits, says", [(["train", "test"], "across splits"), (["test", "test"], "in one split")]
)
def test_a_key_that_occurs_twice_is_refused(splits, says):
    twice = pa.table(
        {
            "flight": ["F1", "F1"],
            "origin": ["JFK", "JFK"],
            "t": pa.array([T1, T2], pa.timestamp("us", "UTC")),
            "split": splits,
        }
    )
    with pytest.raises(DeclarationError, match=f"duplicate keys {says}: 1"):
        check_keys(SPEC, twice)
