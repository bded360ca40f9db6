"""Proposed contracts: the next version says what changed, loads, and fits the data it is for."""

import csv
import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import Level, compare
from headrace.contracts.evolution.compatibility import next_version, rules
from headrace.contracts.load import parse_contract
from headrace.contracts.odcs import json_schema
from headrace.core.clock import days
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.gates.suite_reader import parse_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.scaffold.interchange import depart, suite_of
from headrace.scaffold.proposal import SourceAnswers, as_rows, draft, read_sample, revise
from headrace.scaffold.proposal.renames import name_likeness
from headrace.sources.files import DropFolder
from tests.examples import examples

BASE = """\
# Sales, as the shop tells them.
apiVersion: v3.2.0
kind: DataContract
id: sales
name: sales
version: 1.4.2
status: active
description: {purpose: What was sold.}
team: {name: sellers}
customProperties:
  - {property: consumers, value: [forecast, ledger]}  # they were asked
  - {property: licence, value: CC0-1.0}
  - {property: allowedPurposes, value: [testing]}
  - {property: privacyClass, value: public}
schema:
  - name: sales
    dataGranularityDescription: One row for each sale.
    customProperties:
      - {property: tableKind, value: event}
      - {property: retiredFieldIds, value: [31]}
      - property: eventTime
        value: {expression: sold_at, description: When it was sold.}
      - property: knownAt
        value: {expression: sold_at + INTERVAL 5 MINUTE, description: Five minutes later.}
      - property: invariants
        value:
          - {name: some, expression: pieces >= 0, description: Not negative.}
    properties:
      - name: sale_id
        logicalType: integer
        required: true
        primaryKey: true
        primaryKeyPosition: 1
        description: Number of the sale.
        customProperties: [{property: fieldId, value: 10}]
      - name: sold_at
        logicalType: timestamp
        required: true
        description: When it was sold.
        customProperties: [{property: fieldId, value: 11}]
      # how much
      - name: pieces
        logicalType: integer
        description: Pieces sold.
        customProperties:
          - {property: fieldId, value: 12}
          - {property: maxAbs, value: 900}
      - name: amount
        logicalType: number
        description: What was paid.
        customProperties:
          - {property: fieldId, value: 13}
          - {property: unit, value: EUR}
          - {property: scale, value: 2}
          - {property: maxAbs, value: 100000}
      - name: weight  # of all pieces
        logicalType: number
        description: Weight.
        customProperties:
          - {property: fieldId, value: 14}
          - {property: unit, value: kg}
      - name: quantity_left
        logicalType: integer
        description: What is left on the shelf.
        customProperties: [{property: fieldId, value: 15}]
      - name: channel
        logicalType: string
        required: true
        description: Where it was sold.
        customProperties:
          - {property: fieldId, value: 16}
          - property: levels
            value:
              S: shop  # the one downtown
              W: web
      - name: gift
        logicalType: boolean
        description: Whether it was wrapped.
        customProperties: [{property: fieldId, value: 17}]
      - name: remark
        logicalType: string
        description: What was said.
        customProperties:
          - {property: fieldId, value: 18}
          - {property: nullTokens, value: ["-"]}
      # --- derived ---
      - name: many
        logicalType: boolean
        description: Whether it is a lot.
        transformLogic: pieces > 10
        customProperties: [{property: fieldId, value: 30}]
"""
COMMENTS = [line[line.index("#") :] for line in BASE.splitlines() if "#" in line]


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    path = tmp_path_factory.mktemp("sales") / "sales.yaml"
    path.write_text(BASE)
    return parse_contract(BASE, path)


def sold(rng, rows=60):
    return [
        {
            "sale_id": str(n),
            "sold_at": f"2024-03-{1 + n % 28:02}T{n % 24:02}:00:00Z",
            "pieces": str(rng.randrange(30)),
            "amount": f"{rng.randrange(10_000) / 100:.2f}",
            "weight": f"{rng.random() * 9:.6f}",
            "quantity_left": str(rng.randrange(50, 5000)),
            "channel": rng.choice("SW"),
            "gift": rng.choice(["true", "false"]),
            "remark": rng.choice(["fine", "none", "late again", "", "-"]),
        }
        for n in range(rows)
    ]


def each(name, value):
    def change(rows, rng):
        for row in rows:
            row[name] = value(row.get(name), rng)

    return change


def some(name, value):
    """In a third of the rows, the first among them."""

    def change(rows, rng):
        for number, row in enumerate(rows):
            if number % 3 == 0:
                row[name] = value

    return change


def renamed(old, new):
    def change(rows, rng):
        for row in rows:
            items = [(new if key == old else key, value) for key, value in row.items()]
            row.clear()
            row.update(items)

    return change


def gone(name):
    return lambda rows, rng: [row.pop(name) for row in rows]


# What a change does to the data, and the rules that then apply; of one group, one at most.
CHANGES = {
    "nothing": ("none", lambda rows, rng: None, []),
    "a whole number more": ("add a", each("clerk", lambda _, r: str(r.randrange(9))),
                            ["column.added"]),
    "a number more": ("add b", each("rebate", lambda _, r: f"{r.random():.3f}"), ["column.added"]),
    "a text more": ("add c", each("shop name", lambda _, r: r.choice("ab")), ["column.added"]),
    "a text less": ("remark", gone("remark"), ["column.removed"]),
    "another name": ("remark", renamed("remark", "remarks"), ["aliases.added"]),
    "an abbreviation": ("left", renamed("quantity_left", "qty_left"), ["aliases.added"]),
    "another case": ("left", renamed("quantity_left", "QuantityLeft"), ["aliases.added"]),
    "a number less": ("left", gone("quantity_left"), ["column.removed"]),
    "parts of pieces": (
        "left",
        each("quantity_left", lambda v, _: f"{v}.5"),
        ["type.changed", "scale.set", "max_abs.set"],
    ),
    "finer": (
        "amount", each("amount", lambda v, r: f"{v}{r.randrange(1, 9)}"), ["scale.finer"],
    ),
    "dear": ("amount", some("amount", "250000.00"), ["max_abs.raised"]),
    "words": ("amount", each("amount", lambda v, _: f"{v} EUR"), ["type.changed", "scale.dropped",
                                                                  "max_abs.dropped"]),
    "a text for null": ("pieces", some("pieces", "N/A"), ["sentinels.added"]),
    "a code for null": ("pieces", some("pieces", "9999"), ["sentinels.added"]),
    "a new code": ("channel", some("channel", "P"), ["level.added"]),
    "nulls": ("channel", some("channel", ""), ["required.off"]),
    "weights in words": ("weight", each("weight", lambda v, _: f"about {v}"), ["type.changed"]),
    "yes and no": ("gift", each("gift", lambda v, r: r.choice(["yes", "no"])), ["type.changed"]),
}  # fmt: skip


def payload(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def written(folder, rows, name="sales.csv"):
    path = folder / name
    path.write_text(payload(rows))
    return str(path)


def proposed(contract, path, **more):
    rows = as_rows(read_sample([path]), contract.null_tokens)
    return revise(contract, rows, text=more.pop("text", BASE), **more)


@given(st.sets(st.sampled_from(sorted(CHANGES)), max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=examples(30), deadline=None)
def test_it_says_what_changed_and_fits(contract, tmp_path_factory, names, rng):
    rows, groups, expected = sold(rng), set(), set()
    for name in sorted(names):
        group, change, changes = CHANGES[name]
        if group not in groups:
            groups.add(group)
            change(rows, rng)
            expected |= set(changes)
    path = written(tmp_path_factory.mktemp("data"), rows)
    made = proposed(contract, path)
    assert made.faults == ()
    if not expected:
        assert made.after is None
        return
    after = parse_contract(made.text, contract.path)
    found = compare(contract, after)
    told = {change.rule for change in found.changes}
    assert told - {"status.changed"} == expected
    assert found.level == made.level
    assert made.level == max(
        Level(max(rules()[rule].reader, rules()[rule].trainer)) for rule in expected
    )
    assert after.version == next_version(contract.version, made.level)
    assert made.breaks == (contract.consumers if made.level is Level.MAJOR else ())
    assert after.status == "proposed"
    new = {field.id for field in after.fields} - {field.id for field in contract.fields}
    assert not new or min(new) > 31
    assert [line[line.index("#") :] for line in made.text.splitlines() if "#" in line] == COMMENTS
    assert proposed(after, path, text=made.text).after is None, "it asks for nothing more"


def test_ids_of_every_version_are_left_alone(contract, tmp_path):
    rows = sold(random.Random(1))
    each("clerk", lambda _, r: "x")(rows, random.Random(1))
    older = parse_contract(BASE.replace("value: 30}", "value: 77}"), contract.path)
    made = proposed(contract, written(tmp_path, rows), beside=[older], used_ids=[80])
    assert made.after.field("clerk").id == 81


def test_live_versions_beside_it_count(contract, tmp_path):
    """Harmless against the present one, and a break for those on the version before."""
    older = parse_contract(
        BASE.replace("version: 1.4.2", "version: 1.0.0")
        .replace("[forecast, ledger]", "[archive]")
        .replace("value: EUR", "value: USD"),
        contract.path,
    )
    rows = sold(random.Random(1))
    each("clerk", lambda _, r: "x")(rows, random.Random(1))
    alone = proposed(contract, written(tmp_path, rows))
    assert (alone.after.version, alone.breaks) == ("1.5.0", ())
    made = proposed(contract, written(tmp_path, rows), beside=[older])
    assert (made.after.version, made.breaks) == ("2.0.0", ("archive",))


def test_few_odd_rows_are_faults_and_no_new_type(contract, tmp_path):
    rows = sold(random.Random(1), 300)
    rows[7]["pieces"] = "x"
    rows[8]["amount"] = "200000.00"
    rows[9]["channel"] = ""
    made = proposed(contract, written(tmp_path, rows))
    assert made.after is None
    assert [step.kind for step in made.steps] == ["rows"] * 3
    assert "got 'x'" in made.faults[0]


def test_what_fits_no_column(contract, tmp_path):
    rows = sold(random.Random(1))
    some("amount", "9" * 30)(rows, None)
    made = proposed(contract, written(tmp_path, rows))
    assert made.after is None
    assert "values that do not fit int64: 20" in made.steps[0].text


def test_what_others_hang_on_is_left_to_a_person(contract, tmp_path):
    rows = sold(random.Random(1))
    each("pieces", lambda _, r: "many")(rows, random.Random(1))
    for row in rows:
        row.pop("sold_at")
    made = proposed(contract, written(tmp_path, rows))
    kinds = {step.field: (step.kind, step.edit is None) for step in made.steps}
    assert kinds == {"pieces": ("rows", True), "sold_at": ("rows", True)}
    assert made.faults


def test_a_column_that_others_need_may_be_absent(contract, tmp_path):
    rows = sold(random.Random(1))
    gone("pieces")(rows, None)
    made = proposed(contract, written(tmp_path, rows))
    assert made.after.field("pieces").may_be_absent
    assert made.level is Level.MINOR
    assert made.faults == ()


def test_names_say_nothing_and_values_do(contract, tmp_path):
    rng = random.Random(3)
    rows, then = sold(rng, 200), sold(rng, 200)
    renamed("weight", "m1")(rows, rng)
    renamed("remark", "t2")(rows, rng)
    from headrace.contracts import conform

    old = as_rows(read_sample([written(tmp_path, then, "old.csv")]), contract.null_tokens)
    before = conform(contract, old, "b").table
    made = proposed(contract, written(tmp_path, rows), before=before)
    assert made.after.field("weight").aliases == ("m1",)
    assert made.after.field("remark").aliases == ("t2",)
    assert made.level is Level.PATCH


@pytest.mark.parametrize(
    ("one", "other", "like"),
    [
        ("quantity", "qty", True),
        ("departure_delay", "dep_delay", True),
        ("customerId", "customer_id", True),
        ("temp", "temperature", True),
        ("amount", "clerk", False),
        ("visib", "uv_index", False),
    ],
)
def test_names_alike(one, other, like):
    assert (name_likeness(one, other) >= 0.6) is like


def test_a_first_draft_is_marked_and_fits(tmp_path):
    path = written(tmp_path, sold(random.Random(1)))
    made = draft(read_sample([path]), SourceAnswers("sales"))
    assert made.faults == ()
    places = {mark.path for mark in made.undecided}
    assert "schema[sales].customProperties[knownAt].value.expression" in places
    assert "schema[sales].properties[weight].customProperties[unit].value" in places
    with pytest.raises(DeclarationError, match="not decided yet"):
        parse_contract(made.text, tmp_path / "sales.yaml")
    told = SourceAnswers("sales", "me", "event", "sold_at", ("sale_id",), "5m")
    made = draft(read_sample([path]), told)
    loaded = parse_contract(made.text, tmp_path / "sales.yaml")
    assert (loaded.owner, loaded.primary_key, loaded.status) == ("me", ("sale_id",), "proposed")
    assert proposed(loaded, path, text=made.text).after is None
    decided = made.text.replace("status: proposed", "status: active")
    with pytest.raises(DeclarationError, match="has open questions"):
        parse_contract(decided, tmp_path / "sales.yaml")


@pytest.mark.parametrize(
    ("told", "mark"),
    [
        ({}, "is this the event time?"),
        ({"time": "day"}, "in which time zone is it?"),
        ({"time": "day", "zone": "Europe/Berlin"}, None),
    ],
)
def test_a_wall_clock_is_not_guessed(told, mark, tmp_path):
    rows = [{"id": str(n), "day": f"2024-03-{n + 1:02} 10:00", "x": "1.5"} for n in range(9)]
    made = draft(read_sample([written(tmp_path, rows)]), SourceAnswers("days", **told))
    assert made.faults == ()
    where = "schema[days].customProperties[eventTime].value.description"
    marks = [one.text for one in made.undecided if one.path == where]
    assert [mark in text for text in marks] == ([True] if mark else [])


def test_a_scaffolded_contract_goes_out(made):
    path = made.root / "pipelines/shop/contracts/orders.yaml"
    contract = parse_contract(path.read_text(), path)
    document = depart(contract, suite_of(contract))
    assert json_schema.problems(document) == []
    rules = [rule for one in document["schema"][0]["properties"] for rule in one.get("quality", [])]
    assert len(rules) > 4


def run(*arguments):
    return CliRunner().invoke(app, ["contract", *arguments])


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pipelines/shop/contracts").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "pipelines/shop/contracts/sales.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    return tmp_path


def test_the_command(project):
    rows = sold(random.Random(1))
    gone("remark")(rows, None)
    data = written(project, rows)
    path = project / "pipelines/shop/contracts/sales.yaml"
    done = run("propose", "sales", "--data", data, "--json")
    assert done.exit_code == 1, "it breaks somebody"
    told = json.loads(done.stdout)
    assert (told["version"], told["level"]) == ("2.0.0", "MAJOR")
    assert told["breaks"] == ["forecast", "ledger"]
    shown = run("propose", "sales", "--data", data).output
    assert "-      - name: remark" in shown
    assert "the change breaks: forecast, ledger" in shown
    new = "pipelines/shop/contracts/sales@2.yaml"
    assert run("propose", "sales", "--data", data, "--out", new).exit_code == 1
    assert path.read_text() == BASE, "never a silent change"
    done = run("diff", str(path), new, "--json")
    assert json.loads(done.stdout)["level"] == "MAJOR"
    again = run("propose", "sales", "--data", data, "--out", new)
    assert again.exit_code == 2
    assert "not overwritten" in again.output
    assert not (project / ".headrace").exists()


def test_what_is_odd_about_the_data_is_said(project):
    rows = sold(random.Random(1))
    path = project / "odd.csv"
    path.write_text(payload(rows).replace(",", ";"))
    done = run("propose", "sales", "--data", str(path))
    assert "note: " in done.output


def test_nothing_to_propose(project):
    done = run("propose", "sales", "--data", written(project, sold(random.Random(1))))
    assert done.exit_code == 0
    assert "nothing to propose" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing", "--data", "x.csv"], "there is no contract of 'nothing'"),
        ([], "nothing to propose from"),
        (["--data", "sales.csv", "--key", "nr"], "no column 'nr'"),
        (["--data", "sales.csv", "--kind", "thing"], "'thing' is not a kind"),
    ],
)
def test_misuse(project, arguments, says):
    written(project, sold(random.Random(1)))
    done = run("propose", *arguments)
    assert done.exit_code == 2
    assert says in done.output


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A project whose sales of twenty days are published."""
    root = tmp_path_factory.mktemp("shop")
    (root / "pipelines/shop/contracts").mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    path = root / "pipelines/shop/contracts/sales.yaml"
    path.write_text(BASE)
    (root / "drop").mkdir()
    slots = days("2024-03-01", "2024-03-20")
    for number, slot in enumerate(slots):
        (root / "drop" / f"sales_{slot}.csv").write_text(payload(of_day(slot, number)))
    suite = parse_suite({"name": "sales", "meta": {"table": "sales"}, "expectations": []})
    source = DropFolder("sales", root / "drop", "sales_{slot}.csv", "shop")
    table = Table("sales", source, parse_contract(BASE, path), suite)
    results = ingest(table, slots, Home(root / ".headrace"))
    assert {one.verdict for one in results} <= {"PASS", "WARN"}
    return root


def of_day(slot, number):
    rng = random.Random(number)
    rows = sold(rng, 200)
    for n, row in enumerate(rows):
        row["sale_id"] = str(number * 1000 + n)
        row["sold_at"] = f"{slot}T{n % 24:02}:{n % 60:02}:00Z"
        row["weight"] = f"{rng.gauss(5, 1):.6f}"
        row["quantity_left"] = str(int(rng.gauss(900, 40)))
    return rows


def test_the_past_tells_names_and_units(shop, monkeypatch):
    monkeypatch.chdir(shop)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    rows = of_day("2024-03-21", 77)
    renamed("weight", "q1")(rows, None)
    renamed("quantity_left", "q2")(rows, None)
    done = run("propose", "sales", "--data", written(shop, rows), "--json")
    told = json.loads(done.stdout)
    after = parse_contract(told["contract"], shop / "x.yaml")
    assert (after.field("weight").aliases, after.field("quantity_left").aliases) == (
        ("q1",),
        ("q2",),
    )
    assert any("all earlier batches" in step["text"] for step in told["steps"])
    rows = of_day("2024-03-21", 78)
    each("weight", lambda v, _: f"{float(v) * 2.20462:.6f}")(rows, None)
    done = run("propose", "sales", "--data", written(shop, rows), "--json")
    (step,) = [one for one in json.loads(done.stdout)["steps"] if one["kind"] == "meaning"]
    assert (step["field"], step["proposed"]) == ("weight", False)
