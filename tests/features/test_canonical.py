"""Equal meaning, equal hash; another meaning, another hash, and the difference in words."""

from dataclasses import replace
from functools import wraps
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.contracts import load_contract
from headrace.contracts.semantic_digest import column_meanings, time_meaning
from headrace.core.errors import DeclarationError
from headrace.features import (
    FeatureView,
    Label,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Rows,
    RowTransform,
    Spine,
    Where,
    Window,
    calendar,
    canonical,
    definition_hash,
    diff,
)
from tests.features import logs
from tests.features.logs import SHAPES, far_away

OUTCOMES = Path(__file__).parents[2] / "pipelines" / "flights" / "contracts" / "outcomes.yaml"
DAY = Mean("amount", Window("-1d"), name="m")
VIEW = FeatureView("v", "facts", ("who",), (DAY, Rows(Window("-1h"), name="r")))


def hashed(definition, shapes=SHAPES):
    return definition_hash(definition, shapes)


def with_column(name, **changes):
    columns = {**SHAPES["facts"].columns, name: replace(SHAPES["facts"].columns[name], **changes)}
    return {**SHAPES, "facts": replace(SHAPES["facts"], columns=columns)}


def rows_where(*conditions):
    return FeatureView("v", "facts", ("who",), (Rows(Window("-1d"), where=conditions, name="r"),))


def test_the_same_meaning_written_otherwise_has_the_same_hash():
    hours = replace(VIEW, features=(VIEW.features[1], replace(DAY, window=Window("-24h", "0us"))))
    assert hashed(VIEW) == hashed(hours)
    assert hashed(VIEW) == hashed(VIEW, with_column("n", scale=4))
    assert hashed(VIEW) == hashed(replace(VIEW, entity_map={"who": "who"}))
    one, two = Where("n", "<", 3), Where("s", "in", ("a", "b"))
    other = Where("s", "in", ("b", "a", "a"))
    assert hashed(rows_where(one, two)) == hashed(rows_where(other, one))
    half = [rows_where(Where("small", ">", value)) for value in (0.5, 0.50)]
    assert hashed(half[0]) == hashed(half[1])


@pytest.mark.parametrize(
    "other",
    [
        replace(VIEW, features=(replace(DAY, window=Window("-2d")), VIEW.features[1])),
        replace(VIEW, features=(replace(DAY, column="small"), VIEW.features[1])),
        replace(VIEW, features=(replace(DAY, name="m2"), VIEW.features[1])),
        replace(VIEW, entity=("place",)),
        replace(VIEW, entity_map={"who": "target"}),
        replace(VIEW, table="plan"),
        replace(VIEW, features=(replace(DAY, default=0), VIEW.features[1])),
    ],
)
def test_another_meaning_has_another_hash(other):
    assert hashed(VIEW) != hashed(other)


def test_the_scale_and_the_keys_of_the_table_are_part_of_the_meaning():
    assert hashed(VIEW) != hashed(VIEW, with_column("amount", scale=3))
    rekeyed = {**SHAPES, "facts": replace(SHAPES["facts"], primary_key=("id",))}
    assert hashed(VIEW) != hashed(VIEW, rekeyed)
    assert hashed(VIEW) != hashed(
        VIEW, {**SHAPES, "facts": replace(SHAPES["facts"], sequence=None)}
    )


def test_when_a_row_is_known_is_part_of_the_meaning():
    later = {**SHAPES, "facts": replace(SHAPES["facts"], times="known an hour later")}
    assert hashed(VIEW) != hashed(VIEW, later)


def test_how_a_column_is_derived_is_part_of_the_meaning_of_those_that_read_it():
    """`late` starts from `arrival_delay`; `air_time` is delivered, and cares only about times."""
    contract = load_contract(OUTCOMES)
    columns = {field.name: field for field in contract.columns}
    rule = columns["arrival_delay"].derivation
    other = replace(rule, expression=f"({rule.expression}) + 1")
    changed = replace(columns["arrival_delay"], derivation=other)
    edited = replace(
        contract,
        columns=tuple(changed if f is columns["arrival_delay"] else f for f in contract.columns),
    )
    before, after = column_meanings(contract), column_meanings(edited)
    assert {name for name in before if before[name] != after[name]} == {"arrival_delay", "late"}
    assert time_meaning(contract) == time_meaning(edited)


def test_hashes_do_not_move_between_versions():
    """A change here is a change of meaning: it needs a new semantics version and a record."""
    label = Label("y", "facts", ("who",), ("n",), "1d", "1h", "status", ("off",))
    found = [
        hashed(definition)[:12]
        for definition in (
            VIEW,
            Lookup("l", "states", ("who",), ("x",), "6h"),
            Spine("plan", "-2h", ("who",)),
            label,
        )
    ]
    assert found == PINNED


PINNED = ["0e8c004cd3bb", "ed31baaa98fd", "5dda8e087245", "57f5627c8c64"]


def test_declared_defaults_and_the_columns_of_a_last_row_are_part_of_the_meaning():
    row = LastRow(("n", "amount"), Window("-1d"), name="l", default=(None, 0.1))

    def of(feature):
        return hashed(replace(VIEW, features=(feature,)))

    assert of(row) == of(replace(row, columns=("amount", "n"), default=(0.10, None)))
    assert of(replace(row, default=None)) == of(replace(row, default=(None, None)))
    others = [
        replace(row, default=(0, 0.1)),
        replace(row, default=None),
        replace(row, columns=("n", "small")),
        Last("n", Window("-1d"), name="l"),
    ]
    assert len({of(row), *map(of, others)}) == 5
    at = Max("at", Window("-1d"), name="l", default="1970-01-01T00:00:00Z")
    assert of(at) == of(replace(at, default="1970-01-01T01:00:00+01:00"))
    spine = Spine("plan", "-2h", ("who", "small"))
    assert hashed(spine) == hashed(replace(spine, defaults={}))
    given = [hashed(replace(spine, defaults={"small": value})) for value in (0.5, 0.50, 1, None)]
    assert given[0] == given[1]
    assert len({hashed(spine), *given}) == 4


def test_diff_names_the_features_that_change_meaning():
    changed = replace(
        VIEW, features=(replace(DAY, window=Window("-7d")), Rows(Window("-1d"), name="n"))
    )
    old, new = ([canonical(view, SHAPES)] for view in (VIEW, changed))
    assert [str(change) for change in diff(old, new).changes] == [
        "removed v__r",
        "added v__n",
        "changed v__m: window -1d to 0s -> -7d to 0s",
    ]
    assert not diff(old, old)


def test_diff_tells_a_new_scale_from_a_new_feature():
    old, new = canonical(VIEW, SHAPES), canonical(VIEW, with_column("amount", scale=3))
    assert [str(change) for change in diff([old], [new]).changes] == [
        "changed v__m: scale of amount 2 -> 3"
    ]


LIMIT = 15


def over_limit(column):
    return pc.greater(column, LIMIT)


def helped(column):
    return over_limit(pc.add(column, 1))


def test_a_transform_is_its_code_and_its_constants(monkeypatch):
    one = RowTransform("late", ("n",), over_limit, "bool")
    two = RowTransform("late", ("n",), helped, "bool")
    before = hashed(one), hashed(two)
    assert before[0] != before[1]
    monkeypatch.setitem(over_limit.__globals__, "LIMIT", 16)
    assert (hashed(one), hashed(two)) != before
    assert hashed(one) != before[0]
    assert hashed(two) != before[1]


def in_a_comprehension(column):
    return pa.array([value is not None and value > LIMIT for value in column.to_pylist()])


def in_an_inner_function(column):
    def over(value):
        return value is not None and value > LIMIT

    return pa.array([over(value) for value in column.to_pylist()])


@pytest.mark.parametrize("fn", [in_a_comprehension, in_an_inner_function])
def test_constants_count_however_deep_they_are_read(fn, monkeypatch):
    before = hashed(RowTransform("late", ("n",), fn, "bool"))
    monkeypatch.setitem(fn.__globals__, "LIMIT", 16)
    assert hashed(RowTransform("late", ("n",), fn, "bool")) != before


def with_defaults(column, limit=LIMIT, *, more=LIMIT):
    return pc.greater(column, limit + more)


@pytest.mark.parametrize(
    ("which", "value"), [("__defaults__", (16,)), ("__kwdefaults__", {"more": 0})]
)
def test_default_arguments_are_constants_too(which, value, monkeypatch):
    before = hashed(RowTransform("late", ("n",), with_defaults, "bool"))
    monkeypatch.setattr(with_defaults, which, value)
    assert hashed(RowTransform("late", ("n",), with_defaults, "bool")) != before


def calls_another_module(column):
    return pc.greater(column, far_away(LIMIT))


def reads_a_module(column):
    return pc.greater(column, logs.FAR)


def test_helpers_of_other_modules_of_the_project_count(monkeypatch):
    for fn in (calls_another_module, reads_a_module):  # pytest imports this file by its bare name
        monkeypatch.setattr(fn, "__module__", "tests.features.test_canonical")
    transform = RowTransform("late", ("n",), calls_another_module, "bool")
    assert "tests.features.logs.far_away" in canonical(transform, SHAPES)["code"]
    before = hashed(transform)
    monkeypatch.setattr(logs, "FAR", 1)
    assert hashed(transform) != before
    with pytest.raises(DeclarationError, match=r"reads from the module tests\.features\.logs"):
        hashed(RowTransform("late", ("n",), reads_a_module, "bool"))


def test_a_calendar_feature_is_bound_to_its_zone_and_the_zone_table(monkeypatch):
    new_york = calendar("hour", "at", "hour", "America/New_York")
    form = canonical(new_york, SHAPES)
    assert "time zones" in form["code"]
    assert hashed(new_york) != hashed(calendar("hour", "at", "hour", "America/Chicago"))
    assert hashed(new_york) != hashed(calendar("hour", "at", "weekday", "America/New_York"))
    before = hashed(new_york)
    monkeypatch.setattr("headrace.core.time_zones.zones_hash", lambda: "another release")
    assert hashed(new_york) != before


def adding(number):
    def add(column):
        return pc.add(column, number)

    return add


def scaled_by(factor):
    def decorate(fn):
        @wraps(fn)
        def scaled(column):
            return pc.multiply(fn(column), factor)

        return scaled

    return decorate


ONE, TWO = adding(1), adding(2)
DOWN, UP = (lambda column: pc.subtract(column, LIMIT)), (lambda column: pc.add(column, LIMIT + 1))


def adds_twice(column):
    return TWO(ONE(column))


def down_and_up(column):
    return UP(DOWN(column))


@scaled_by(2)
def doubled(column):
    return column


@pytest.mark.parametrize(
    ("fn", "change"),
    [
        (adds_twice, {"TWO": adding(3)}),
        (adds_twice, {"ONE": TWO, "TWO": ONE}),
        (down_and_up, {"UP": lambda column: pc.add(column, LIMIT + 2)}),
        (down_and_up, {"UP": DOWN, "DOWN": UP}),
    ],
)
def test_functions_of_one_name_are_told_apart(fn, change, monkeypatch):
    """What a factory made twice, and two lambdas, have the same qualified name."""
    before = hashed(RowTransform("r", ("n",), fn, "int64"))
    for name, value in change.items():
        monkeypatch.setitem(fn.__globals__, name, value)
    assert hashed(RowTransform("r", ("n",), fn, "int64")) != before


def test_what_a_decorator_does_is_part_of_the_code():
    """`wraps` shows the function within as the source of the one around it."""
    before = hashed(RowTransform("r", ("n",), doubled, "int64"))
    assert hashed(RowTransform("r", ("n",), scaled_by(3)(doubled.__wrapped__), "int64")) != before
    code = canonical(RowTransform("r", ("n",), doubled, "int64"), SHAPES)["code"]
    name = f"{doubled.__module__}.doubled"
    assert code[name] != code[f"{name}#2"]


TABLE = {"a": 1}


def reads_a_dict(column):
    return pc.add(column, TABLE["a"])


def test_code_without_a_fixed_form_is_refused():
    with pytest.raises(DeclarationError, match="TABLE"):
        hashed(RowTransform("r", ("n",), reads_a_dict, "int64"))
    with pytest.raises(DeclarationError, match="no source"):
        hashed(RowTransform("r", ("n",), pa.array, "int64"))
