"""Single wrong rules on a line of a few rows: what they give, by hand."""

import pyarrow as pa
import pytest

from headrace.features import (
    Column,
    Count,
    FeatureView,
    Last,
    LastRow,
    Lookup,
    Mean,
    Std,
    TableShape,
    Window,
)
from headrace.verification.parity_diagnosis.hypotheses import DiagnosisCase
from headrace.verification.parity_diagnosis.wrong_rules import HYPOTHESES
from tests.features.logs import bits

COLUMNS = {
    "id": Column(pa.int64()),
    "who": Column(pa.string()),
    "n": Column(pa.int64(), max_abs=100),
    "q": Column(pa.int64(), scale=1, max_abs=100),
    "s": Column(pa.string()),
}
SHAPE = TableShape("facts", "event", ("id",), COLUMNS, None, 100)
DAY = Window("-10us")
SPREAD = FeatureView("v", "facts", ("who",), (Std("n", DAY, name="std"), Count("n", DAY, name="n")))
ROW = FeatureView(
    "v",
    "facts",
    ("who",),
    (LastRow(("n", "q", "s"), DAY, name="row"), Mean("n", DAY, name="m"), Last("s", DAY, name="s")),
)


def case(view, *values):
    rows = [
        {"id": i, "who": "a", "n": n, "q": None, "s": None, "event_time": i, "known_at": i}
        for i, n in enumerate(values)
    ]
    return DiagnosisCase(view, rows, SHAPE, {"who": "a", "t": 9})


def wrong(name, given):
    [rule] = [rule for rule in HYPOTHESES if rule.name == name]
    return rule.answer(given, None)


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ((1, 3), 1.0),
        ((1, 1, 4), 2**0.5),
        ((5,), 0.0),
        ((5, None), 0.0),
        ((None,), None),
        ((), None),
    ],
)
def test_a_spread_over_n(values, spread):
    """Of one value it is 0, where that over n - 1 is null; of none it is null too."""
    found = wrong("population std", case(SPREAD, *values))
    assert found["v__std"] == (None if spread is None else pytest.approx(spread, rel=1e-12))
    assert found["v__n"] == sum(value is not None for value in values)


def test_nulls_served_as_0_are_of_the_type_of_the_output():
    """Texts have no 0; columns of a last row have types of their own."""
    found = wrong("null served as 0", case(ROW))
    expected = {"v__row_n": 0, "v__row_q": 0.0, "v__row_s": None, "v__m": 0.0, "v__s": None}
    assert {name: bits(value) for name, value in found.items()} == {
        name: bits(value) for name, value in expected.items()
    }
    state = Lookup("l", "facts", ("who",), ("s", "q", "n"), None)
    found = wrong("null served as 0", case(state))
    assert {name: bits(value) for name, value in found.items()} == {
        "l__s": bits(None), "l__q": bits(0.0), "l__n": bits(0)
    }  # fmt: skip
