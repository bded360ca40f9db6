"""Edits of a contract keep what they do not touch; values are written so that all read the same."""

import difflib
import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.authoring.editing import Edited
from headrace.contracts.authoring.yaml_values import flow
from headrace.core.declarations.strict_yaml import read_document
from headrace.core.errors import DeclarationError
from tests.contracts.given import FLIGHTS
from tests.examples import examples

WEATHER = (FLIGHTS / "weather.yaml").read_text()
COLUMNS = ("schema", 0, "properties")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["no", "on", "1e5", "0x1", "2013-01-01", "12:30", "~", "a: b", "a #b", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(one, other):
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


@given(values)
@settings(max_examples=examples(300), deadline=None)
def test_a_value_is_read_back_by_every_reader(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.yaml"
    path.write_text(f"value: {flow(value)}\n", encoding="utf-8")
    assert same(value, read_document(path).value["value"])
    assert same(value, yaml.safe_load(path.read_text(encoding="utf-8"))["value"])


def changed(edited):
    lines = difflib.unified_diff(WEATHER.splitlines(), edited.text.splitlines(), n=0, lineterm="")
    return [line for line in list(lines)[2:] if not line.startswith("@@")]


def test_one_edit_is_one_line():
    for edit, lines in (
        (lambda e: e.set("version", to="2.0.0"), ["-version: 1.0.1", "+version: 2.0.0"]),
        (lambda e: e.set("dataProduct", to="d"), ["+dataProduct: d"]),
        (
            lambda e: e.custom(*COLUMNS, "temp", name="maxAbs", to=300),
            [
                "-          - {property: maxAbs, value: 200}",
                "+          - {property: maxAbs, value: 300}",
            ],
        ),
        (
            lambda e: e.custom(*COLUMNS, "temp", name="aliases", to=["t"]),
            ["+          - {property: aliases, value: [t]}"],
        ),
        (
            lambda e: e.add("customProperties", "consumers", "value", item="b, c"),
            [
                "-  - {property: consumers, value: [flights_delay]}",
                '+  - {property: consumers, value: [flights_delay, "b, c"]}',
            ],
        ),
        (
            lambda e: e.custom("schema", 0, name="knownAt", to={"expression": "a"}),
            [
                "-        value:",
                "-          expression: time_hour + INTERVAL 10 MINUTE",
                "-          description: Observations are out ten minutes after the hour.",
                "+        value: {expression: a}",
            ],
        ),
    ):
        edited = Edited(WEATHER)
        edit(edited)
        assert changed(edited) == lines


def test_columns_come_and_go_and_comments_stay():
    edited = Edited(WEATHER)
    edited.insert_after(*COLUMNS, "time_hour", lines=["name: x", "logicalType: string"])
    edited.remove(*COLUMNS, "local_clock")
    edited.remove(*COLUMNS, "temp")
    text = edited.text
    assert text.index("- name: x\n        logicalType: string\n      # --- derived ---") > 0
    names = [one["name"] for one in yaml.safe_load(text)["schema"][0]["properties"]]
    assert names[-1] == "x"
    assert not {"temp", "local_clock"} & set(names)
    comments = [line for line in WEATHER.splitlines() if line.strip().startswith("#")]
    assert [line for line in text.splitlines() if line.strip().startswith("#")] == comments


def test_windows_line_ends_and_comments_on_the_line():
    edited = Edited("a: 1  # one\r\nb:\r\n  - name: x # first\r\n    é: ü\r\n")
    edited.set("a", to=2)
    edited.set("b", "x", "c", to="d")
    assert edited.text.startswith(
        "a: 2  # one\r\nb:\r\n  - name: x # first\r\n    é: ü\r\n    c: d"
    )


@pytest.mark.parametrize("place", [("nothing", "there"), (*COLUMNS, "no_column", "name")])
def test_what_is_not_there_is_said(place):
    with pytest.raises(DeclarationError, match="cannot edit"):
        Edited(WEATHER).set(*place, to=1)


def test_flow_columns_are_left_to_a_person():
    with pytest.raises(DeclarationError, match="cannot edit"):
        Edited("properties: [{name: a}]").remove("properties", "a")
