"""Personal columns: a treatment each, typed and keyed pseudonyms, classes through lineage."""

import dataclasses
import datetime as dt
import hmac

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts import Contract, load_contract
from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets.governance.privacy import (
    Drop,
    Generalise,
    Keep,
    Pseudonymise,
    pseudonymised,
    require_keys,
    strictest,
    treat,
)
from headrace.datasets.governance.privacy_classes import frame_classes, table_classes
from headrace.datasets.governance.privacy_key import FILE, TEXT, PrivacyKey
from headrace.datasets.governance.retention import is_expired, retention_of, retention_us
from headrace.features.spec import (
    FeatureView,
    Label,
    LastRow,
    Lookup,
    Rows,
    RowTransform,
    Spine,
    Where,
    Window,
)
from tests.examples import examples

SECRET = "0123456789abcdef0123456789abcdef"
KEY = PrivacyKey(SECRET.encode())
FRAME = pa.table(
    {
        "customer": ["ann", None, "bob", "ann"],
        "number": pa.array([5, -7, None, 5]),
        "born": pa.array([dt.datetime(1990, 5, 17, tzinfo=dt.UTC)] * 3 + [None]),
        "income": pa.array([1234.5, -20.5, None, 0.0]),
        "late": pa.array([1, 0, 1, 0]),
    }
)
CLASSES = {"customer": "personal", "number": "sensitive", "late": "public", "income": "restricted"}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.delenv(FILE, raising=False)
    monkeypatch.setenv(TEXT, SECRET)


def test_undeclared_columns_are_refused_and_all_named():
    with pytest.raises(DeclarationError) as caught:
        treat("d", FRAME, {"number": Drop()}, CLASSES)
    assert "customer (personal), income (restricted)" in caught.value.what
    assert "Pseudonymise()" in caught.value.fix


def test_each_treatment_is_applied_and_recorded():
    declared = {
        "customer": Pseudonymise(),
        "number": Drop(),
        "born": Generalise("365d"),
        "income": Generalise(100),
        "late": Keep("it is the label"),
    }
    done = treat("d", FRAME, declared, CLASSES, fixed=["late"], needed=["customer"])
    assert done.frame.column_names == ["customer", "born", "income", "late"]
    names = done.frame["customer"].to_pylist()
    assert names[1] is None
    assert names[0] == names[3] != names[2]
    assert done.frame["income"].to_pylist() == [1200.0, -100.0, None, 0.0]
    assert done.frame["born"].to_pylist()[3] is None
    assert done.frame["born"].to_pylist()[0] <= FRAME["born"].to_pylist()[0]
    assert done.privacy == {
        "customer": {"class": "personal", "treatment": "pseudonymise", "key_id": KEY.id},
        "number": {"class": "sensitive", "treatment": "drop"},
        "born": {"class": "public", "treatment": "generalise", "step": "365d"},
        "income": {"class": "restricted", "treatment": "generalise", "step": "100"},
        "late": {"class": "public", "treatment": "keep", "because": "it is the label"},
    }
    assert SECRET not in repr(KEY) + str(done.privacy)


def test_patterns_cover_many_and_the_own_name_wins():
    frame = pa.table({"v__a": [1], "v__b": [2], "w": ["x"]})
    done = treat("d", frame, {"v__*": Keep("sums"), "v__b": Drop()}, {"v__a": "sensitive"})
    assert done.frame.column_names == ["v__a", "w"]
    with pytest.raises(DeclarationError, match="no such column"):
        treat("d", frame, {"u__*": Drop()}, {})
    with pytest.raises(DeclarationError, match="not a treatment"):
        treat("d", frame, {"w": "drop"}, {})


@pytest.mark.parametrize(
    "column, treatment, says",
    [
        ("late", Pseudonymise(), "time or the label"),
        ("customer", Drop(), "part of the key"),
        ("born", Pseudonymise(), "a timestamp cannot be pseudonymised"),
        ("income", Pseudonymise(), "a float64 cannot be pseudonymised"),
        ("customer", Generalise("1d"), "cannot be generalised"),
        ("number", Generalise(2.5), "cannot be generalised"),
        ("number", Generalise(0), "a step of 0"),
    ],
)
def test_what_cannot_be_done_is_refused(column, treatment, says):
    rest = {name: Keep("test") for name in ("customer", "number", "income") if name != column}
    with pytest.raises(DeclarationError, match=says):
        treat("d", FRAME, {**rest, column: treatment}, CLASSES, fixed=["late"], needed=["customer"])
    with pytest.raises(DeclarationError, match="without a reason"):
        Keep(" ")


def test_a_key_is_needed_long_enough_and_named_only_by_its_id(monkeypatch, tmp_path):
    monkeypatch.delenv(TEXT)
    with pytest.raises(StateError, match="needs a privacy key"):
        treat("d", FRAME, {"customer": Pseudonymise()}, {})
    (tmp_path / "key").write_text(SECRET + "\n")
    monkeypatch.setenv(FILE, str(tmp_path / "key"))
    assert PrivacyKey.find("a test") == KEY
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(DeclarationError, match="could be guessed") as caught:
        PrivacyKey.find("a test")
    assert "short" not in str(caught.value)
    monkeypatch.setenv(FILE, str(tmp_path / "none"))
    with pytest.raises(StateError, match="cannot be read"):
        PrivacyKey.find("a test")


def test_pseudonyms_are_plain_hmac(monkeypatch):
    """Written again from the documentation: another language can join on them."""
    text = hmac.new(SECRET.encode(), b"headrace-pseudonym-1\nstring\nann", "sha256")
    assert KEY.pseudonym("ann") == text.hexdigest()[:32]
    number = hmac.new(
        SECRET.encode(), b"headrace-pseudonym-1\nint64\n" + (5).to_bytes(8, "little"), "sha256"
    )
    assert KEY.pseudonym(5) == int.from_bytes(number.digest()[:8], "little") // 2
    assert KEY.pseudonym("5") != str(KEY.pseudonym(5))
    assert KEY.subject("a", "x") != KEY.subject("b", "x")


@settings(max_examples=examples(25), deadline=None)
@given(
    st.one_of(
        st.lists(st.none() | st.text(max_size=5), max_size=30),
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=30),
        st.lists(st.none() | st.binary(max_size=5), max_size=30),
    ),
    st.integers(1, 7),
)
def test_pseudonyms_keep_type_nulls_and_equality(values, chunk):
    column = pa.chunked_array(
        [
            pa.array(values[n : n + chunk], pa.array(values).type)
            for n in range(0, max(len(values), 1), chunk)
        ]
    )
    if pa.types.is_null(column.type):
        return
    done = pseudonymised(column, KEY)
    assert done.type == column.type
    found = done.to_pylist()
    assert [one is None for one in found] == [one is None for one in values]
    for a, b in zip(values, found, strict=True):
        for c, d in zip(values, found, strict=True):
            assert (a == c) == (b == d)
    other = pseudonymised(column, PrivacyKey(b"x" * 32)).to_pylist()
    assert all(a != b for a, b in zip(found, other, strict=True) if a is not None)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(-(10**15), 10**15), min_size=1), st.integers(1, 10**6))
def test_generalising_is_the_lower_end_of_the_step(values, step):
    frame = pa.table({"n": values})
    found = treat("d", frame, {"n": Generalise(step)}, {}).frame["n"].to_pylist()
    assert found == [value // step * step for value in values]


def test_another_key_is_told_apart():
    privacy = {"customer": {"class": "personal", "treatment": "pseudonymise", "key_id": "0" * 16}}
    with pytest.raises(StateError, match=f"{'0' * 16}, but this environment has {KEY.id}"):
        require_keys("d@1.0.0", privacy)
    require_keys("d@1.0.0", {"customer": {**privacy["customer"], "key_id": KEY.id}})
    require_keys("d@1.0.0", {})


def test_the_strictest_class_wins():
    assert strictest([]) == "public"
    assert strictest(["public", "personal", "internal"]) == "personal"
    assert strictest(["sensitive", "restricted"]) == "restricted"
    assert strictest(["internal", "not_stated"]) == "not_stated"
    assert strictest(["personal", "TODO: public?"]) == "personal"


def _classed(contract: Contract, **classes: str) -> Contract:
    columns = tuple(
        dataclasses.replace(one, privacy=classes.get(one.name, one.privacy))
        for one in contract.columns
    )
    return dataclasses.replace(contract, columns=columns)


def test_what_is_computed_inherits_the_class():
    """Through derivations of the contract, aggregates, filters, lookups, transforms and labels."""
    base = load_contract("pipelines/flights/contracts/outcomes.yaml")
    contract = _classed(base, tailnum="personal", arr_delay="sensitive")
    classes = table_classes(contract)
    assert classes["tailnum"] == "personal"
    derived = {one.name for one in contract.columns if one.derivation is not None}
    assert any(classes[name] == "sensitive" for name in derived)
    window = Window("-1d")
    views = (
        FeatureView(
            "by_plane",
            "outcomes",
            ("tailnum",),
            (
                Rows(window),
                Rows(window, where=Where("arr_delay", ">", 0), name="late_rows"),
                LastRow(("carrier", "arr_delay"), window, name="last"),
            ),
        ),
        Lookup("plane", "outcomes", ("carrier",), ("tailnum", "carrier"), None),
        RowTransform("mixed", ("by_plane__last_arr_delay", "carrier"), lambda a, b: a, "int64"),
        RowTransform("plain", ("carrier",), lambda a: a, "string"),
    )
    label = Label("late", "outcomes", ("carrier",), ("late",), "1d", "0s")
    spine = Spine("outcomes", columns=("tailnum",))
    found = frame_classes(spine, views, label, {"outcomes": contract})
    expected = {
        "tailnum": "personal",
        "carrier": "public",
        "by_plane__rows_1d": "public",
        "by_plane__late_rows": "sensitive",
        "by_plane__last_carrier": "public",
        "by_plane__last_arr_delay": "sensitive",
        "plane__tailnum": "personal",
        "plane__carrier": "public",
        "mixed": "sensitive",
        "plain": "public",
        "late": "sensitive",
    }
    assert {name: found[name] for name in expected} == expected


def test_retention_is_read_and_the_shortest_decides():
    year = {"slaProperties": [{"property": "retention", "value": 1, "unit": "y"}]}
    both = {
        "slaProperties": [
            *year["slaProperties"],
            {"property": "retention", "value": 30, "unit": "days"},
        ]
    }
    assert retention_us({}) is None
    assert retention_us(year) == 365 * DAY
    assert retention_us(both) == 30 * DAY
    for wrong in ({"value": "long", "unit": "y"}, {"value": 1, "unit": "moon"}, {"value": 0}):
        with pytest.raises(DeclarationError, match="not a period"):
            retention_us({"slaProperties": [{"property": "retention", **wrong}]})
    found = retention_of("d", {"a": 30 * DAY, "b": 365 * DAY, "c": None}, 0, 10 * DAY)
    assert found["until_us"] == 30 * DAY
    assert found["because"].startswith("a may be kept for 30 days")
    assert not is_expired(found, 30 * DAY - 1)
    assert is_expired(found, 30 * DAY)
    assert retention_of("d", {"c": None}, 0, 0) == {}
    with pytest.raises(DeclarationError, match="may no longer be kept"):
        retention_of("d", {"a": 30 * DAY}, 0, 30 * DAY)
