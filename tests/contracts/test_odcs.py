"""Contracts to and from plain ODCS: what goes out validates, what comes in is kept or told."""

import json
from copy import deepcopy
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import load_contract
from headrace.contracts.lint import lint
from headrace.contracts.load import parse_contract
from headrace.contracts.odcs import json_schema
from headrace.contracts.odcs.document_reader import read_foreign
from headrace.contracts.odcs.exporting import export
from headrace.contracts.odcs.importing import import_table
from headrace.contracts.odcs.quality_export import to_quality
from headrace.contracts.odcs.quality_import import Subject, Untranslatable, from_quality, modernised
from headrace.core.declarations.strict_yaml import read_document
from headrace.core.errors import DeclarationError
from headrace.gates.suite_reader import parse_suite
from headrace.scaffold.interchange import _refused, arrive, depart, suite_of
from tests.contracts.given import FLIGHTS, SMALL
from tests.examples import examples

ROOT = Path(__file__).parents[2]
FOREIGN = sorted((Path(__file__).parent / "foreign").iterdir())
OWN = [
    *sorted(FLIGHTS.glob("*.yaml")),
    SMALL,
    *sorted((ROOT / "tests/dagster/shop").glob("*s.yaml")),
]
SCHEMA = json.loads(
    Path(
        distribution("open-data-contract-standard").locate_file(
            "open_data_contract_standard/schema.json"
        )
    ).read_text()
)


def valid(document):
    """By the schema as it is published, and as we hold documents to it."""
    errors = [error.message for error in Draft201909Validator(SCHEMA).iter_errors(document)]
    assert errors == []
    assert json_schema.problems(document) == []


def suite_entries(path):
    return read_document(path).value.get("expectations") or [] if path else []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_our_contracts_validate_and_come_back(path):
    contract = load_contract(path)
    suite = suite_of(contract)
    document = depart(contract, suite)
    valid(document)
    entries = suite_entries(suite)
    made = import_table(deepcopy(document), 0, _refused)
    assert made.document == contract.document
    by_id = {one["meta"]["id"]: one for one in made.expectations}
    assert len(by_id) == len(entries)
    for one in entries:
        back = by_id[(one.get("meta") or {})["id"]]
        assert {**back, "meta": back["meta"] | {"reason": ""}} == {
            "type": one["type"],
            "kwargs": one["kwargs"],
            **({"severity": one["severity"]} if "severity" in one else {}),
            "meta": (one.get("meta") or {}) | {"reason": ""},
        }


def test_hidden_columns_are_no_columns_to_others():
    document = export(load_contract(SMALL))
    names = [one["name"] for one in document["schema"][0]["properties"]]
    assert "step" not in names
    assert "doubled" in names
    rule = next(one for one in document["schema"][0]["quality"] if one["name"] == "whole")
    assert rule["query"] == "SELECT count(*) FROM readings WHERE NOT (doubled = 2 * count)"


def lost(given, kept, path="$"):
    """Places of a document that another one lacks; lists are searched, whatever their order."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(kept, list):
        for number, value in enumerate(given):
            here = f"{path}[{number}]"
            named = isinstance(value, dict) and {"name", "property", "server"} & value.keys()
            if path == "$.schema":
                yield from lost(value, kept[number], here)
            elif named and path.endswith(("properties", "customProperties", "servers")):
                (key, *_) = named
                same = [one for one in kept if one.get(key) == value[key]]
                same = same or [one for one in kept if one.get("physicalName") == value[key]]
                losses = [list(lost(value, one, here)) for one in same] or [[here]]
                yield from min(losses, key=len)
            elif value not in kept:
                yield here
    elif given != kept:
        yield path


def decided(text):
    """A contract that was imported, with something for each TODO that keeps it from loading."""
    somewhen = "expression: \"CAST('2024-01-01' AS TIMESTAMPTZ)\""
    text = text.replace("value: TODO}", "value: event}").replace("expression: TODO", somewhen)
    return text.replace("logicalType: TODO", "logicalType: string")


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_nothing_of_another_tools_document_is_lost(path):
    source = read_foreign(path)
    modern = modernised(source)
    for number in range(len(source["schema"])):
        made = arrive(path, source["schema"][number]["name"])
        assert [one.broken for one in made] == [""]
        contract = parse_contract(decided(made[0].contract), Path(f"{made[0].table}.yaml"))
        entries = yaml.safe_load(made[0].suite)["expectations"] if made[0].suite else []
        document = export(contract, entries)
        valid(document)
        kept = {**modern, "schema": [modern["schema"][number]]}
        changed = {place.partition("[0]")[2] or place for place in lost(kept, document)}
        assert changed <= CHANGED[path.name], changed - CHANGED[path.name]


# By design: the form of the version, the status, a team that was a list, keys counted from 1, and
# names that no column or table can have, which are kept as physical names.
CHANGED = {
    "warehouse.odcs.yaml": {"$.status", ".properties[0].primaryKeyPosition"},
    "catalog.odcs.json": {
        "$.apiVersion", "$.version", "$.status", "$.team", ".properties[0].name",
        ".properties[3].name",
    },
    "stream.odcs.yaml": {"$.version", ".name", ".properties[1].name"},
}  # fmt: skip
CHANGED["warehouse.odcs.yaml"].add("$.apiVersion")


def test_what_was_imported_is_enforced_and_told(tmp_path):
    (orders,) = arrive(FOREIGN[-1])
    assert {mark.path for mark in orders.undecided} >= {
        "customProperties[licence].value",
        "schema[orders].customProperties[knownAt].value.expression",
    }
    assert "latency 4 h" in orders.contract
    suite = parse_suite(yaml.safe_load(orders.suite))
    by_id = {one.id: one for one in suite.expectations}
    assert by_id["email_form"].kwargs["regex"] == "^[^@]+@[^@]+$"
    assert by_id["order_total_values_to_be_between"].kwargs["max_value"] == 1_000_000.5
    assert by_id["customer_email_values_to_not_be_null"].kwargs["mostly"] == 0.99
    assert by_id["customer_email_values_to_not_be_null"].severity == "warning"
    assert by_id["table_row_count_to_be_between"].kwargs == {"min_value": 1001}
    notes = " ".join(orders.notes)
    for said in ("a rule of type sql", "mustBeLessThan 10 rows", "a rule of type text", "servers"):
        assert said in notes
    path = tmp_path / "orders.yaml"
    path.write_text(decided(orders.contract))
    contract = load_contract(path)
    suite.check(contract.arrow_schema())
    rules = {(hint.field, hint.rule) for hint in lint(contract)}
    assert {("order_total", "not_enforced"), (None, "not_enforced")} <= rules


def test_the_suite_has_the_last_word(tmp_path):
    """What a person changed or took out is exported as it is enforced now."""
    (orders,) = arrive(FOREIGN[-1])
    contract = parse_contract(decided(orders.contract), tmp_path / "orders.yaml")
    entries = yaml.safe_load(orders.suite)["expectations"]
    entries = [one for one in entries if one["meta"]["id"] != "order_id_values_to_be_unique"]
    for one in entries:
        if one["meta"]["id"] == "order_id_value_lengths_to_be_between":
            one["kwargs"]["max_value"] = 40
    document = export(contract, entries)
    valid(document)
    (column,) = [one for one in document["schema"][0]["properties"] if one["name"] == "order_id"]
    assert "unique" not in column
    assert "logicalTypeOptions" not in column
    assert column["quality"][0]["implementation"]["kwargs"]["max_value"] == 40
    (column,) = [
        one for one in export(contract)["schema"][0]["properties"] if one["name"] == "order_id"
    ]
    assert (column["unique"], column["logicalTypeOptions"]["maxLength"]) == (True, 36)


TEXT, NUMBER = Subject("note", "string"), Subject("price", "number", 2)
RULES = [
    ({"metric": "nullValues", "mustBe": 0}, TEXT, ["not_be_null {'column': 'note'}"]),
    ({"metric": "nullValues", "mustBeLessThan": 1}, TEXT, ["not_be_null {'column': 'note'}"]),
    ({"metric": "nullValues", "mustBeLessThan": 1, "unit": "percent"}, TEXT, None),
    ({"metric": "nullValues", "mustBe": 5}, TEXT, None),
    ({"metric": "nullValues", "mustNotBe": 0}, TEXT, None),
    (
        {"metric": "invalidValues", "arguments": {"validValues": [1.25, None]}, "mustBe": 0},
        NUMBER,
        ["be_in_set {'column': 'price', 'value_set': [1.25]}"],
    ),
    ({"metric": "invalidValues", "arguments": {"validValues": ["x"]}, "mustBe": 0}, NUMBER, None),
    ({"metric": "invalidValues", "arguments": {"pattern": "x"}, "mustBe": 0}, NUMBER, None),
    ({"metric": "duplicateValues", "mustBe": 0}, TEXT, ["be_unique {'column': 'note'}"]),
    ({"metric": "freshness", "mustBe": 0}, TEXT, None),
    ({"metric": "rowCount", "mustBeBetween": [9, 20]}, None,
     ["row_count_to_be_between {'min_value': 10, 'max_value': 19}"]),
    ({"metric": "rowCount", "mustBe": 7}, None,
     ["row_count_to_be_between {'min_value': 7, 'max_value': 7}"]),
    ({"metric": "rowCount", "mustBe": 7, "mustNotBe": 8}, None, None),
    ({"rule": "duplicateCount", "mustBe": 0}, TEXT, ["be_unique {'column': 'note'}"]),
    ({"type": "text", "description": "fine"}, TEXT, None),
    ({"type": "custom", "engine": "dbt", "implementation": "x"}, TEXT, None),
    (
        {"type": "custom", "engine": "great_expectations",
         "implementation": {"expectation_type": "expect_column_mean_to_be_between",
                            "kwargs": {"minValue": 1}}},
        NUMBER,
        ["column_mean_to_be_between {'column': 'price', 'min_value': 1}"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "subject", "made"), RULES, ids=lambda one: str(one)[:60])
def test_a_rule_is_an_expectation_or_is_told(rule, subject, made):
    (rule,) = modernised({"quality": [rule]})["quality"]
    if made is None:
        with pytest.raises(Untranslatable):
            from_quality(rule, subject)
        return
    found = from_quality(rule, subject)
    said = [f"{one['type']} {one['kwargs']}" for one in found]
    assert len(said) == len(made)
    assert all(one.endswith(wanted) for one, wanted in zip(said, made, strict=True))


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
texts = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and "TODO" not in text)
scalars = st.one_of(texts, st.integers(-999, 999), st.booleans())
customs = st.lists(
    st.fixed_dictionaries({"property": names.map("x_{}".format), "value": scalars}),
    max_size=2,
    unique_by=lambda one: one["property"],
)
qualities = st.lists(
    st.one_of(
        st.builds(lambda n: {"metric": "nullValues", "mustBe": n}, st.integers(0, 1)),
        st.builds(
            lambda n: {"metric": "nullValues", "mustBeLessOrEqualTo": n, "unit": "percent"},
            st.integers(1, 99),
        ),
        st.builds(
            lambda v: {"metric": "invalidValues", "arguments": {"validValues": v}, "mustBe": 0},
            st.lists(scalars, min_size=1, max_size=3),
        ),
        st.builds(lambda text: {"type": "text", "description": text}, texts),
        st.builds(
            lambda q: {"type": "sql", "query": q, "mustBe": 0, "dimension": "accuracy"}, texts
        ),
    ),
    max_size=2,
)


@st.composite
def foreign_columns(draw):
    kind = draw(st.sampled_from(
        ["string", "integer", "number", "boolean", "timestamp", "date", "time", "object", "array"]
    ))  # fmt: skip
    column = {"name": draw(names), "logicalType": kind}
    if kind == "string" and draw(st.booleans()):
        column["logicalTypeOptions"] = {"minLength": draw(st.integers(0, 9)), "pattern": "a+"}
    if kind in {"integer", "number"} and draw(st.booleans()):
        column["logicalTypeOptions"] = {"minimum": draw(st.integers(-9, 9))}
    if kind == "timestamp" and draw(st.booleans()):
        column["logicalTypeOptions"] = draw(
            st.sampled_from(
                [{"timezone": True}, {"defaultTimezone": "Europe/Paris"}, {"minimum": "2020-01-01"}]
            )
        )
    if kind == "object":
        column["properties"] = [{"name": "inner", "logicalType": "string"}]
    for key, values in (
        ("description", texts),
        ("physicalType", st.sampled_from(["varchar(9)", "decimal(9,2)", "int", "whatever"])),
        ("physicalName", names.map("p_{}".format)),
        ("required", st.booleans()),
        ("unique", st.booleans()),
        ("classification", texts),
        ("tags", st.lists(texts, max_size=2)),
        ("quality", qualities),
        ("customProperties", customs),
        ("examples", st.lists(scalars, max_size=2)),
        ("transformLogic", texts),
        ("businessName", texts),
        ("partitioned", st.booleans()),
        ("enum", st.lists(st.builds(lambda v: {"value": v}, names), min_size=1, max_size=2,
                          unique_by=lambda one: one["value"])),
    ):  # fmt: skip
        if draw(st.integers(0, 3)) == 0:
            column[key] = draw(values)
    return column


@st.composite
def foreign_documents(draw):
    columns = draw(
        st.lists(foreign_columns(), min_size=1, max_size=4, unique_by=lambda one: one["name"])
    )
    if columns and draw(st.booleans()):
        columns[-1]["primaryKey"] = True
    table = {"name": draw(names), "properties": columns}
    for key, values in (
        ("description", texts),
        ("dataGranularityDescription", texts),
        ("physicalType", texts),
        ("quality", st.just([{"metric": "rowCount", "mustBeGreaterThan": 3}])),
        ("customProperties", customs),
        ("tags", st.lists(texts, max_size=2)),
    ):
        if draw(st.booleans()):
            table[key] = draw(values)
    document = {
        "apiVersion": draw(st.sampled_from(["v3.0.2", "v3.1.0", "v3.2.0"])),
        "kind": "DataContract",
        "id": draw(names),
        "version": draw(st.sampled_from(["1.0.0", "2", "v1.3", "latest"])),
        "schema": [table],
    }
    for key, values in (
        ("status", st.sampled_from(["active", "in review"])),
        ("name", texts),
        ("team", st.just({"name": "us", "members": [{"username": "me"}]})),
        ("servers", st.just([{"server": "a", "type": "local", "path": "x", "format": "csv"}])),
        ("slaProperties", st.just([{"property": "latency", "value": 4, "unit": "d"}])),
        ("roles", st.just([{"role": "reader", "access": "read"}])),
        ("description", st.just({"usage": "any"})),
        ("customProperties", customs),
        ("tags", st.lists(texts, max_size=2)),
        ("price", st.just({"priceAmount": 1.5})),
    ):
        if draw(st.booleans()):
            document[key] = draw(values)
    return document


@given(foreign_documents())
# Not shrunk: that takes minutes, and the documents are small.
@settings(
    max_examples=examples(40),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_any_document_comes_in_and_goes_out_again(tmp_path_factory, document):
    assert json_schema.problems(document) == []
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    (made,) = arrive(path)
    assert made.broken == ""
    contract = parse_contract(decided(made.contract), Path(f"{made.table}.yaml"))
    entries = yaml.safe_load(made.suite)["expectations"] if made.suite else []
    out = export(contract, entries)
    valid(out)
    changed = set(lost(document, out)) - {"$.apiVersion", "$.status", "$.version"}
    assert changed == set()
    path.write_text(json.dumps(out))
    (again,) = arrive(path)
    loaded = [yaml.safe_load(decided(one.contract)) for one in (made, again)]
    assert loaded[0] == loaded[1]
    assert again.suite == made.suite


def test_a_drafted_contract_goes_out(tmp_path):
    data = tmp_path / "sales.csv"
    data.write_text("id,at,amount\n1,2024-01-01T10:00:00Z,1.5\n2,2024-01-01T11:00:00Z,2.5\n")
    args = ["--data", str(data), "--time", "at", "--key", "id", "--known-after", "5m"]
    out = tmp_path / "sales.yaml"
    args += ["--kind", "event", "--out", str(out)]
    assert CliRunner().invoke(app, ["contract", "propose", *args]).exit_code == 0
    valid(export(load_contract(out)))


def run(*arguments):
    return CliRunner().invoke(app, ["contract", *arguments])


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run("export", "weather", "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    valid(document)
    rules = [
        one for column in document["schema"][0]["properties"] for one in column.get("quality", [])
    ]
    assert any(rule.get("metric") == "nullValues" for rule in rules)
    out = tmp_path / "weather.odcs.yaml"
    assert run("export", "weather", "--out", str(out)).exit_code == 0
    assert run("export", "weather", "--out", str(out)).exit_code == 2, "nothing is overwritten"
    assert run("export", "weather", "--format", "avro").exit_code == 2
    done = run("import", str(out), "--out", str(tmp_path / "back"))
    assert done.exit_code == 0
    back = load_contract(tmp_path / "back/contracts/weather.yaml")
    assert back.meaning_hash == load_contract(FLIGHTS / "weather.yaml").meaning_hash
    assert (tmp_path / "back/quality_suites/weather.yaml").exists()
    done = run("import", str(FOREIGN[1]), "--json")
    assert done.exit_code == 0
    assert [one["table"] for one in json.loads(done.stdout)] == ["payments_v3", "accounts"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: DataProduct\napiVersion: v1.0.0\n", "this is not an ODCS document"),
        ("kind: DataContract\napiVersion: v2.2.2\n", "apiVersion is 'v2.2.2'"),
        ("apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: 1.0.0\n", "describes no table"),
        ("a: 1\na: 2\n", "given twice"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_none_is_said(text, says, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=says):
        arrive(path)


def test_an_expectation_comes_back_from_its_rule():
    entry = {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "note", "value_set": ["a", "b"], "mostly": 0.97},
        "severity": "warning",
        "meta": {"id": "known", "reason": "Only these.", "action": "quarantine"},
    }
    (rule,) = to_quality(entry)
    (back,) = from_quality(rule, TEXT)
    assert (back["kwargs"], back["severity"]) == (entry["kwargs"], "warning")
    assert back["meta"] == {"action": "quarantine"}
