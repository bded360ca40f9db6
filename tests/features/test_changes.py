"""What changes meaning between two sets of definitions, told for a person and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from headrace.contracts import load_contract
from headrace.core.errors import DeclarationError, StateError
from headrace.features import (
    Distinct,
    FeatureView,
    Label,
    LastRow,
    Lookup,
    Mean,
    Rows,
    RowTransform,
    Spine,
    Sum,
    Where,
    Window,
    canonical,
    definition_hash,
    diff,
    stored_forms,
)
from tests.features.logs import SHAPES, VIEWS

DAY = Window("-1d")
VIEW = FeatureView(
    "v",
    "facts",
    ("who",),
    (
        Mean("amount", DAY, name="m"),
        Rows(DAY, name="r"),
        LastRow(("s", "n"), DAY, name="l"),
        Sum("small", DAY, where=Where("amount", ">", 0.5), name="w"),
    ),
)
OUTCOMES = Path(__file__).parents[2] / "pipelines" / "flights" / "contracts" / "outcomes.yaml"


def with_feature(number, **changes):
    features = list(VIEW.features)
    features[number] = replace(features[number], **changes)
    return replace(VIEW, features=tuple(features))


def said(old, new, shapes=SHAPES):
    return [str(change) for change in diff([old], [new], SHAPES, shapes).changes]


CASES = {
    "window": (
        with_feature(0, window=Window("-2h", "-30m")),
        ["v__m: window -1d to 0s -> -2h to -30m"],
    ),
    "column": (with_feature(0, column="small"), ["v__m: column amount -> small"]),
    "filter": (
        with_feature(3, where=(Where("amount", ">", 0.25), Where("s", "in", ("a", "b")))),
        ["v__w: filter amount > 0.50 -> amount > 0.25 and s in ('a', 'b')"],
    ),
    "no filter": (with_feature(3, where=None), ["v__w: filter amount > 0.50 -> none"]),
    "default": (with_feature(0, default=0), ["v__m: default none -> 0.0"]),
    "default of one column of a row": (
        with_feature(2, default=(None, 7)),
        ["v__l_n: default none -> 7"],
    ),
    "entity": (
        replace(VIEW, entity_map={"who": "pilot"}),
        [f"v__{name}: entity who -> who = pilot" for name in ("m", "r", "l_n", "l_s", "w")],
    ),
    "operation": (
        replace(VIEW, features=(Distinct("amount", DAY, name="m"), *VIEW.features[1:])),
        ["v__m: operation mean -> distinct"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_says_which_part_of_which_feature_is_another(case):
    new, expected = CASES[case]
    assert said(VIEW, new) == [f"changed {text}" for text in expected]
    others = diff([VIEW], [new], SHAPES, SHAPES).unchanged
    assert len(others) == len(VIEW.outputs) - len(expected)


def test_a_further_column_of_a_row_changes_no_other():
    assert said(VIEW, with_feature(2, columns=("n", "s", "at"))) == ["added v__l_at"]


def test_a_new_name_for_the_same_meaning_is_told_as_that():
    assert said(VIEW, with_feature(1, name="rows")) == [
        "removed v__r",
        "added v__rows: it has the definition of the former v__r",
    ]


def test_tells_lookups_spines_and_labels():
    lookup = Lookup("l", "states", ("who",), ("x", "s"), "6h")
    assert said(lookup, replace(lookup, max_age=None)) == [
        "changed l__x: max age 6h -> none",
        "changed l__s: max age 6h -> none",
    ]
    assert said(lookup, replace(lookup, default=(None, ""))) == ["changed l__s: default none -> ''"]
    spine = Spine("plan", "-2h", ("who",))
    assert said(spine, replace(spine, at_offset="-1h", defaults={"who": "p"})) == [
        "changed (spine): defaults none -> {'who': 'p'}; offset from the event -2h -> -1h"
    ]
    label = Label("y", "facts", ("who",), ("n",), "1d", "1h", "status", ("off",))
    assert said(label, replace(label, settle="2h", excluded=("off", "gone"))) == [
        "changed y: excluded off -> gone, off; settle time 1h -> 2h"
    ]


def doubled(column):
    return pc.multiply(column, 2)


def trebled(column):
    return pc.multiply(column, 3)


def test_what_is_computed_from_a_changed_feature_changes_too():
    one = RowTransform("one", ("v__m",), doubled, "double")
    two = RowTransform("two", ("one", "v__r"), doubled, "double")
    old, new = [VIEW, one, two], [with_feature(0, window=Window("-7d")), one, two]
    assert [str(change) for change in diff(old, new, SHAPES).changes] == [
        "changed v__m: window -1d to 0s -> -7d to 0s",
        "changed one: its input v__m changes meaning",
        "changed two: its input one changes meaning",
    ]
    other = [VIEW, replace(one, fn=trebled), two]
    texts = [str(change) for change in diff(old, other, SHAPES).changes]
    assert len(texts) == 2
    assert "doubled" in texts[0]
    assert "trebled" in texts[0]


def test_is_read_as_json():
    found = diff([VIEW], [with_feature(0, window=Window("-7d"))], SHAPES).as_json()
    assert json.loads(json.dumps(found)) == {
        "added": [],
        "removed": [],
        "changed": {
            "v__m": [
                {
                    "part": "window",
                    "old": [-86_400_000_000, 0],
                    "new": [-7 * 86_400_000_000, 0],
                    "text": "window -1d to 0s -> -7d to 0s",
                }
            ]
        },
        "unchanged": ["v__r", "v__l_n", "v__l_s", "v__w"],
    }


def test_stored_forms_are_as_good_as_definitions():
    stored = json.loads(json.dumps(stored_forms(VIEWS, SHAPES)))
    assert not diff(stored, list(VIEWS), contracts_new=SHAPES)
    assert not diff(stored["definitions"], stored)
    outputs = [name for view in VIEWS for name in view.outputs]
    assert sorted(diff(stored, stored).unchanged) == sorted(outputs)
    later = {**stored, "semantics": 2}
    changes = diff(stored, later).changes
    assert sorted(change.name for change in changes) == sorted(outputs)
    assert {str(change).partition(": ")[2] for change in changes} == {"semantics version 1 -> 2"}


def test_says_what_the_contract_says_of_a_column():
    contract = load_contract(OUTCOMES)
    columns = {field.name: field for field in contract.columns}
    rule = columns["arrival_delay"].derivation
    edited = {
        "arrival_delay": replace(
            columns["arrival_delay"],
            derivation=replace(rule, expression=f"({rule.expression}) + 1"),
        ),
        "distance": replace(columns["distance"], unit="km") if "distance" in columns else None,
    }
    new = replace(contract, columns=tuple(edited.get(f.name) or f for f in contract.columns))
    view = FeatureView("v", "outcomes", ("carrier",), (Rows(DAY, where=Where("late", "==", 1)),))
    found = diff([view], [view], {"outcomes": contract}, {"outcomes": new})
    assert [change.name for change in found.changes] == list(view.outputs)
    text = str(found.changes[0])
    assert "late: through arrival_delay rule" in text
    assert "+ 1" in text
    stored = [
        json.loads(json.dumps(stored_forms([view], {"outcomes": side}))) for side in (contract, new)
    ]
    assert str(diff(*stored).changes[0]) == text
    known = contract.known_at
    later = replace(known.expression, expression=f"({known.expression.expression}) + 1")
    late = replace(contract, known_at=replace(known, expression=later))
    change = diff([view], [view], {"outcomes": contract}, {"outcomes": late}).changes[0]
    assert str(change).startswith("changed v__rows")
    assert "known_at " in str(change)
    # Without the contracts the change is found as well, and less is said of it.
    forms = [[canonical(view, {"outcomes": side})] for side in (contract, new)]
    assert "its contract describes the values differently" in str(diff(*forms))


def test_refuses_what_it_cannot_compare():
    with pytest.raises(DeclarationError, match="without the contracts"):
        diff([VIEW], [VIEW])
    with pytest.raises(StateError, match="format 0"):
        diff({"format": 0, "definitions": []}, [])


def shapes_with(**columns):
    facts = replace(SHAPES["facts"], columns={**SHAPES["facts"].columns, **columns})
    return {**SHAPES, "facts": facts}


AMOUNT, SMALL = SHAPES["facts"].columns["amount"], SHAPES["facts"].columns["small"]
VARIANTS = [
    (VIEW, SHAPES),
    *[(new, SHAPES) for new, _ in CASES.values()],
    (VIEW, shapes_with(amount=replace(AMOUNT, scale=3))),
    (VIEW, shapes_with(amount=replace(AMOUNT, meaning="in cents"))),
    (VIEW, shapes_with(small=replace(SMALL, scale=2))),
    (VIEW, shapes_with(big=replace(SMALL, scale=2))),  # not used
    (VIEW, shapes_with(who=replace(SHAPES["facts"].columns["who"], meaning="another register"))),
    (VIEW, {**SHAPES, "facts": replace(SHAPES["facts"], primary_key=("id",))}),
    (VIEW, {**SHAPES, "facts": replace(SHAPES["facts"], sequence=None)}),
    (VIEW, {**SHAPES, "facts": replace(SHAPES["facts"], kind="planned")}),
    (VIEW, {**SHAPES, "facts": replace(SHAPES["facts"], times="known an hour later")}),
    (replace(VIEW, table="plan"), SHAPES),
    (replace(VIEW, features=VIEW.features[::-1]), SHAPES),
    (Lookup("v", "facts", ("who",), ("n", "s"), None), SHAPES),
    (Lookup("v", "facts", ("who",), ("n", "s"), "1d"), SHAPES),
    (Lookup("v", "facts", ("who",), ("n", "s"), "1d", default=(0, None)), SHAPES),
]


def test_a_change_is_told_exactly_where_the_hash_is_another():
    hashes = [definition_hash(*variant) for variant in VARIANTS]
    assert len(set(hashes)) == len(VARIANTS) - 2  # a column that is not used, and the order
    for i, (old, old_shapes) in enumerate(VARIANTS):
        for j, (new, new_shapes) in enumerate(VARIANTS):
            found = diff([old], [new], old_shapes, new_shapes)
            assert bool(found) == (hashes[i] != hashes[j]), (i, j)
            assert all(change.parts for change in found.changes if change.what == "changed")
