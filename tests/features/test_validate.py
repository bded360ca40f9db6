"""A wrong declaration is refused at load, with what to do about it."""

from dataclasses import replace

import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError
from headrace.features import (
    Count,
    Distinct,
    FeatureView,
    First,
    Label,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Rows,
    RowTransform,
    Spine,
    Std,
    Sum,
    Where,
    Window,
    calendar,
    training_frame,
    validate,
)
from tests.features.logs import COLUMNS, LABEL, SHAPES, SPINE, TRAILING, VIEWS, random_log

WHO = ("who",)
PLACE = COLUMNS["place"]


def view(*features, **changes):
    return FeatureView(
        **{"name": "v", "table": "facts", "entity": WHO, "features": features} | changes
    )


def twice(column):
    return column


GOOD = {"views": VIEWS[:2], "contracts": SHAPES, "spine": SPINE, "label": LABEL}


def test_gives_the_types_of_all_outputs():
    label = replace(LABEL, columns=("n", "s"))
    types = validate(VIEWS[:2] + VIEWS[3:], SHAPES, SPINE, label)
    assert types["who__amount_sum_10us"] == types["who__n_mean_where_status_not_on_10us"]
    assert types["who__amount_sum_10us"] == pa.float64()
    assert types["who__n_sum_10us"] == types["plan__rows_in_2us_to_6us"] == pa.int64()
    assert types["state__s"] == pa.string()
    assert types["kinds__s_distinct_10us"] == types["kinds__at_count_10us"] == pa.int64()
    assert types["kinds__last_row_10us_amount"] == pa.float64()
    assert types["kinds__bright_s"] == pa.string()


def test_the_types_are_those_of_the_frame():
    log = random_log(1)
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES)
    wide = replace(SPINE, columns=("who", "place", "target"))
    shapes = {**SHAPES, "plan": replace(SHAPES["plan"], columns={**COLUMNS, "target": PLACE})}
    types = validate(VIEWS, shapes, wide)
    assert {name: frame.schema.field(name).type for name in types} == types


def unproven(**changes):
    columns = {**SHAPES["facts"].columns, "n": replace(SHAPES["facts"].columns["n"], **changes)}
    return {**SHAPES, "facts": replace(SHAPES["facts"], columns=columns)}


CASES = {
    "unknown table": ({"views": [view(Rows(TRAILING), table="fact")]}, "use one of: facts"),
    "unknown column": ({"views": [view(Sum("amont", TRAILING))]}, "use one of: id, part"),
    "unknown entity column": ({"views": [view(Rows(TRAILING), entity=("whom",))]}, "use one of"),
    "entity not in the spine": (
        {"views": [view(Rows(TRAILING), entity_map={"who": "whom"})]},
        "add it to the spine's columns",
    ),
    "entity of another type": (
        {"views": [view(Rows(TRAILING), entity_map={"who": "place"})]},
        "the same type on both sides",
    ),
    "float entity": ({"views": [view(Rows(TRAILING), entity=("x",))]}, "not be a float"),
    "sum of a float": ({"views": [view(Sum("x", TRAILING))]}, "declare a decimal scale for x"),
    "mean of a text": ({"views": [view(Mean("s", TRAILING))]}, "take any type"),
    "std without bound": ({"views": [view(Std("big", TRAILING))]}, "declare max_abs"),
    "sum without bound on rows": (
        {
            "views": [view(Sum("n", TRAILING))],
            "contracts": {**SHAPES, "facts": replace(SHAPES["facts"], max_events=None)},
        },
        "declare max_events",
    ),
    "a sum that overflows": (
        {"views": [view(Sum("n", TRAILING))], "contracts": unproven(max_abs=2**53, scale=2)},
        "declare scale 1 for n, the greatest that fits",
    ),
    "a count that overflows": (
        {
            "views": [view(Mean("n", TRAILING))],
            "contracts": {
                **SHAPES,
                "facts": replace(unproven(max_abs=1, scale=17)["facts"], max_events=1000),
            },
        },
        "declare scale 15 for n, the greatest that fits",
    ),
    "max of a text": ({"views": [view(Max("s", TRAILING))]}, "first and last take any type"),
    "a window into the future": ({"views": [view(Rows(Window("0s", "1us")))]}, "kind planned"),
    "filter on an unknown column": (
        {"views": [view(Rows(TRAILING, where=Where("t", "==", 1)))]},
        "use one of",
    ),
    "filter of another type": (
        {"views": [view(Rows(TRAILING, where=Where("s", "==", 1)))]},
        "as the column's type",
    ),
    "filter finer than the scale": (
        {"views": [view(Rows(TRAILING, where=Where("amount", ">", 0.005)))]},
        "of that scale",
    ),
    "order of texts": (
        {"views": [view(Rows(TRAILING, where=Where("s", "<", "a")))]},
        "for texts use == or in",
    ),
    "last row of an unknown column": (
        {"views": [view(LastRow(("s", "tail"), TRAILING))]},
        "use one of",
    ),
    "default of another type": (
        {"views": [view(Last("s", TRAILING, default=0))]},
        "as the column's type",
    ),
    "default finer than the scale": (
        {"views": [view(Sum("amount", TRAILING, default=0.005))]},
        "of that scale",
    ),
    "default of a mean that is no number": (
        {"views": [view(Mean("n", TRAILING, default="none"))]},
        "as the column's type",
    ),
    "default that is not finite": (
        {"views": [view(Max("x", TRAILING, default=float("inf")))]},
        "as the column's type",
    ),
    "default that is no moment": (
        {"views": [view(Max("at", TRAILING, default="noon"))]},
        "RFC 3339",
    ),
    "default beyond int64": (
        {"views": [view(Max("big", TRAILING, default=2**63))]},
        "as the column's type",
    ),
    "default of one column of the last row": (
        {"views": [view(LastRow(("s", "flag"), TRAILING, default=("", "no")))]},
        "as the column's type",
    ),
    "default of a lookup of another type": (
        {"views": [Lookup("l", "states", WHO, ("n", "s"), None, default=(0, 0))]},
        "as the column's type",
    ),
    "request default of another type": (
        {"spine": replace(SPINE, defaults={"who": 7})},
        "as the column's type",
    ),
    "request default of the key": (
        {"spine": Spine("plan", "-2us", ("who", "id"), {"id": 7})},
        "leave out this default",
    ),
    "request default beyond the contract": (
        {"spine": Spine("plan", "-2us", ("who", "small"), {"small": 100.1})},
        "could hold",
    ),
    "unknown lookup column": (
        {"views": [Lookup("l", "states", WHO, ("temp",), None)]},
        "use one of",
    ),
    "spine column that is not there": (
        {"spine": Spine("plan", "-2us", ("tail",))},
        "use one of",
    ),
    "a spine before unplanned events": ({"spine": Spine("facts", "-2us")}, "kind planned"),
    "one output twice": ({"views": [VIEWS[0], VIEWS[0]]}, "choose another name"),
    "two views of one name": (
        {"views": [view(Rows(TRAILING)), view(Rows(Window("-1d")))]},
        "choose another name",
    ),
    "a feature among the views": ({"views": [Rows(TRAILING)]}, "FeatureView, Lookup"),
    "a view alone": ({"views": VIEWS[0]}, "a tuple of them"),
    "a spine column that hides t": (
        {
            "spine": Spine("plan", "-2us", ("t",)),
            "contracts": {
                **SHAPES,
                "plan": replace(SHAPES["plan"], columns={**COLUMNS, "t": PLACE}),
            },
        },
        "rename that column",
    ),
    "a transform of nothing known": (
        {"views": [RowTransform("r", ("tall",), twice, "int64")]},
        "a spine column or a feature declared before",
    ),
    "a transform of an unknown type": (
        {"views": [RowTransform("r", ("place",), twice, "int32")]},
        "use one of: int64",
    ),
    "label of an unknown column": ({"label": replace(LABEL, columns=("late",))}, "use one of"),
    "label that is in the spine": (
        {"label": replace(LABEL, columns=("who",))},
        "choose another name",
    ),
    "status that is no text": (
        {"label": replace(LABEL, columns=("n",), status="n")},
        "text column",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses(case):
    changes, fix = CASES[case]
    with pytest.raises(DeclarationError) as refusal:
        validate(**{**GOOD, "label": None, **changes})
    assert fix in refusal.value.fix
    assert refusal.value.where or "filter" in case


ALONE = {
    "unbounded window": (lambda: Window(None), "fixed durations"),
    "empty window": (lambda: Window("0s", "0s"), "trailing week"),
    "reversed window": (lambda: Window("1d", "-1d"), "trailing week"),
    "a window of centuries": (lambda: Window("-99999d"), "a shorter one"),
    "a window as text": (lambda: Rows("-1d"), 'Window("-1d")'),
    "a column for a window": (lambda: Count(TRAILING, "n"), 'Mean("delay", Window'),
    "no column": (lambda: Count(None, TRAILING), 'Mean("delay", Window'),
    "a list of filters": (lambda: Rows(TRAILING, [Where("n", "==", 1)]), "are a tuple"),
    "a filter as text": (lambda: Rows(TRAILING, "n > 3"), 'Where("status"'),
    "a filter on null": (lambda: Where("s", "==", None), "null never pass a filter"),
    "a filter on a column that is none": (lambda: Where(5, "==", 1), "name a column of the table"),
    "a name that is none": (lambda: Rows(TRAILING, name=5), "starting with a letter"),
    "a name of other letters": (lambda: Rows(TRAILING, name="größe"), "starting with a letter"),
    "a name of SQL": (lambda: Rows(TRAILING, name="a; drop table b"), "starting with a letter"),
    "a filter that names nothing": (
        lambda: Rows(TRAILING, where=Where("s", "==", "é")),
        'name="..."',
    ),
    "a name too long for a folder": (
        lambda: view(Rows(TRAILING), name="v" * 101),
        "at most 100",
    ),
    "no duration": (lambda: Window("7 days"), "a whole number"),
    "a list filter without tuple": (lambda: Where("s", "in", "on"), "take a tuple"),
    "an unknown test": (lambda: Where("s", "like", "on%"), "use one of"),
    "a filter on nothing": (lambda: Where("s", "in", ()), "name the values"),
    "default of a count": (lambda: Count("n", TRAILING, default=1), "leave out default"),
    "default of a number of values": (lambda: Distinct("n", TRAILING, default=1), "leave out"),
    "a last row of nothing": (lambda: LastRow((), TRAILING), "each column once"),
    "a last row of a text": (lambda: LastRow("s", TRAILING), "each column once"),
    "a last row with a column twice": (lambda: LastRow(("s", "s"), TRAILING), "once"),
    "defaults of a last row that do not fit": (
        lambda: LastRow(("s", "n"), TRAILING, default=("",)),
        "for each column",
    ),
    "an output of a last row that another feature has": (
        lambda: view(LastRow(("s",), TRAILING, name="a"), Rows(TRAILING, name="a_s")),
        "another name",
    ),
    "a request default of what is not asked": (
        lambda: Spine("plan", "-2us", ("who",), {"place": 1}),
        "for the spine's columns",
    ),
    "features of one name": (lambda: view(Rows(TRAILING), Rows(TRAILING)), "another name"),
    "no features": (view, "at least one"),
    "features in a list": (
        lambda: view(features=[Rows(TRAILING)]),
        "needs the comma",
    ),
    "one feature without a comma": (
        lambda: view(features=Rows(TRAILING)),
        "needs the comma",
    ),
    "features by name": (lambda: view("rows"), "needs the comma"),
    "an entity twice": (lambda: view(Rows(TRAILING), entity=("who", "who")), "once"),
    "no map": (lambda: view(Rows(TRAILING), entity_map=None), "to spine columns"),
    "spine columns as text": (lambda: Spine("plan", "-2us", "who"), 'columns=("<name>",)'),
    "a spine of centuries away": (lambda: Spine("plan", "-99999d"), "a shorter one"),
    "an offset as number": (lambda: Spine("plan", -2), "write a text"),
    "an age as number": (lambda: Lookup("l", "states", WHO, ("n",), 3600), "write a text"),
    "lookup columns as text": (lambda: Lookup("l", "states", WHO, "n", None), '("<name>",)'),
    "label columns as text": (
        lambda: Label("y", "facts", WHO, "n", "1d", "1d"),
        'columns=("<name>",)',
    ),
    "a label column twice": (lambda: Label("y", "facts", WHO, ("n", "n"), "1d", "1d"), "once"),
    "statuses as text": (
        lambda: Label("y", "facts", WHO, ("n",), "1d", "1d", "status", "off"),
        'excluded=("<name>",)',
    ),
    "a negative horizon": (lambda: Label("y", "facts", WHO, ("n",), "-1d", "1d"), "horizon"),
    "a horizon as number": (lambda: Label("y", "facts", WHO, ("n",), 36, "1d"), "write a text"),
    "settling for centuries": (
        lambda: Label("y", "facts", WHO, ("n",), "1d", "99999d"),
        "a shorter one",
    ),
    "transform inputs as text": (lambda: RowTransform("r", "n", twice, "int64"), "inputs=("),
    "a transform without function": (lambda: RowTransform("r", ("n",), None, "int64"), "give fn"),
    "an unknown part of a calendar": (
        lambda: calendar("c", "at", "hours", "UTC"),
        "minute_of_day, hour",
    ),
    "a name with two underscores": (lambda: Rows(TRAILING, name="a__b"), "single underscores"),
    "entity as text": (lambda: view(Rows(TRAILING), entity="who"), 'entity=("<name>",)'),
    "map of what is no entity": (
        lambda: view(Rows(TRAILING), entity_map={"x": "y"}),
        "to spine columns",
    ),
    "defaults of a lookup that do not fit": (
        lambda: Lookup("l", "states", WHO, ("n",), None, default=("", 1)),
        "for each column",
    ),
    "negative age": (lambda: Lookup("l", "states", WHO, ("n",), "-1s"), "a duration"),
    "lookup of nothing": (lambda: Lookup("l", "states", WHO, (), None), "once"),
    "label without horizon": (lambda: Label("y", "facts", WHO, ("n",), "0s", "1d"), "horizon"),
    "excluded without status": (
        lambda: Label("y", "facts", WHO, ("n",), "1d", "1d", None, ("off",)),
        "status=",
    ),
    "transform without inputs": (lambda: RowTransform("r", (), twice, "int64"), "name its inputs"),
}


@pytest.mark.parametrize("case", ALONE)
def test_refuses_alone(case):
    make, fix = ALONE[case]
    with pytest.raises(DeclarationError) as refusal:
        make()
    assert fix in refusal.value.fix
    assert refusal.value.where


def test_names_are_made_from_what_is_declared():
    features = (
        Mean("delay", Window("-24h")),
        Rows(Window("1h", "3h")),
        Rows(Window("-3h", "-60m"), where=Where("status", "in", ("on", "off"))),
        First("delay", Window("-1h", "1h"), where=Where("delay", ">=", 15)),
        Rows(Window("0s", "2h"), name="soon"),
        Distinct("gate", Window("-1d"), where=Where("status", "==", "on")),
        LastRow(("gate", "delay"), Window("-6h")),
        Rows(Window("-1d"), where=Where("delay", "in", (-5, -0.5, "-x-"))),
    )
    assert [feature.name for feature in features] == [
        "delay_mean_1d",
        "rows_in_1h_to_3h",
        "rows_where_status_on_off_3h_ago_to_1h_ago",
        "delay_first_where_delay_ge_15_1h_ago_to_1h",
        "soon",
        "gate_distinct_where_status_on_1d",
        "last_row_6h",
        "rows_where_delay_minus_5_minus_0_5_x_1d",
    ]
    assert features[-2].names == ("last_row_6h_gate", "last_row_6h_delay")
    assert features[-2].columns == ("gate", "delay")
    assert features[0].names == (features[0].name,)


def test_a_table_without_a_primary_key_is_refused():
    shapes = {**SHAPES, "facts": replace(SHAPES["facts"], primary_key=())}
    view = FeatureView("v", "facts", ("who",), (Rows(Window("-1d")),))
    with pytest.raises(DeclarationError, match="table facts has no primary key"):
        validate([view], shapes, Spine("plan", "-2h", ("who",)))
