"""The table of versions: what changed, what number follows, and what is said about it."""

import json
from dataclasses import replace

import pytest

from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.datasets import GroupSplits
from headrace.datasets.manifest import Manifest, ManifestColumn, Part, SplitEntry
from headrace.datasets.version import next_version
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC

BASE = Manifest(
    name="delays",
    version="1.2.3",
    change="FIRST",
    reasons=("first release",),
    previous=None,
    content_hash="0" * 64,
    rows=10,
    columns=(
        ManifestColumn("flight", "string", "key"),
        ManifestColumn("weather__wind", "float64", "feature"),
    ),
    label=SPEC.label_form(),
    split_rule=SPEC.split_form(),
    cutoff_us=SPEC.cutoff_us,
    mode="declared",
    splits={},
    left_out={},
    inputs=INPUTS,
    definitions=DEFINITIONS,
    fits={},
    parameters={"rate": 1},
    code_revision="r1",
    purpose="training",
    description="made up",
    licences=("CC0-1.0",),
)
OTHER = "1" * 64


def with_input(**changes):
    return {**INPUTS, "weather": replace(INPUTS["weather"], **changes)}


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


TABLE_NONE = "content, definitions and metadata are the same"
SAME = "content, definitions and metadata are the same"
TABLE = [
    ({}, "NONE", "1.2.3", "content, definitions and metadata are the same"),
    ({"code_revision": "r2"}, "NONE", "1.2.3", "content, definitions and metadata are the same"),
    ({"cutoff_us": 5}, "NONE", "1.2.3", "content, definitions and metadata are the same"),
    (
        {"inputs": with_input(snapshot_id=99, batches=("w1", "w2"))},
        "NONE",
        "1.2.3",
        "content, definitions and metadata are the same",
    ),
    ({"description": "new"}, "PATCH", "1.2.4", "description: changed"),
    ({"parameters": {"rate": 2}}, "PATCH", "1.2.4", "parameters: changed"),
    ({"licences": ("CC-BY-4.0",)}, "PATCH", "1.2.4", "licences: changed"),
    ({"pipeline": "flights"}, "PATCH", "1.2.4", "pipeline: changed"),
    ({"retention": {"until_us": 5}}, "PATCH", "1.2.4", "retention: changed"),
    ({"coverage": OTHER, "lineage": OTHER}, "NONE", "1.2.3", TABLE_NONE),
    ({"inputs": with_input(overrides=("o1",))}, "PATCH", "1.2.4", "overrides of weather: changed"),
    (
        {"inputs": with_input(contract_version="1.0.1", contract_hash=OTHER)},
        "PATCH",
        "1.2.4",
        "contract_version of weather: changed",
    ),
    (
        {"content_hash": OTHER, "rows": 11},
        "MINOR",
        "1.3.0",
        "content: 10 rows became 11, or cells among them changed",
    ),
    (
        {"split_rule": {**BASE.split_rule, "test_until_us": 7}},
        "MINOR",
        "1.3.0",
        "split bound test_until: rolled",
    ),
    (
        {"definitions": {**DEFINITIONS, "route": OTHER}},
        "MINOR",
        "1.3.0",
        "definition of route: new",
    ),
    (
        {"columns": (*BASE.columns, ManifestColumn("weather__rain", "int64", "feature"))},
        "MINOR",
        "1.3.0",
        "column weather__rain: new",
    ),
    (
        {"inputs": with_input(contract_version="1.1.0", contract_hash=OTHER)},
        "MINOR",
        "1.3.0",
        "contract of weather: 1.0.0 became 1.1.0",
    ),
    (
        {"inputs": with_input(contract_version="2.0.0", contract_hash=OTHER)},
        "MAJOR",
        "2.0.0",
        "contract of weather: 1.0.0 became 2.0.0",
    ),
    (
        {"inputs": with_input(contract_hash=OTHER)},
        "MAJOR",
        "2.0.0",
        "contract of weather: changed without a new version",
    ),
    (
        {"inputs": without(INPUTS, "weather")},
        "MAJOR",
        "2.0.0",
        "table weather: no longer an input",
    ),
    (
        {"definitions": {**DEFINITIONS, "weather": OTHER}},
        "MAJOR",
        "2.0.0",
        "definition of weather: changed",
    ),
    (
        {"definitions": without(DEFINITIONS, "weather")},
        "MAJOR",
        "2.0.0",
        "definition of weather: gone",
    ),
    ({"columns": BASE.columns[:1]}, "MAJOR", "2.0.0", "column weather__wind: gone"),
    (
        {"columns": (BASE.columns[0], ManifestColumn("weather__wind", "int64", "feature"))},
        "MAJOR",
        "2.0.0",
        "column weather__wind: changed",
    ),
    ({"label": {**BASE.label, "hash": OTHER}}, "MAJOR", "2.0.0", "label late: changed"),
    (
        {"split_rule": {**BASE.split_rule, "embargo_us": 9}},
        "MAJOR",
        "2.0.0",
        "split rule embargo_us: changed",
    ),
    (
        {"split_rule": {**BASE.split_rule, "evaluation_share": "1/10"}},
        "MAJOR",
        "2.0.0",
        "split rule evaluation_share: new",
    ),
    (
        {"split_rule": {**BASE.split_rule, "kind": "group"}},
        "MAJOR",
        "2.0.0",
        "split rule kind: changed",
    ),
    ({"leakage": {"because": "so"}}, "PATCH", "1.2.4", "leakage that is allowed: changed"),
    ({"leakage": {"twins": {"test": 3}}}, "NONE", "1.2.3", SAME),
    ({"mode": "recorded"}, "MAJOR", "2.0.0", "availability mode: declared became recorded"),
    (
        {"content_hash": OTHER, "parameters": {"rate": 2}},
        "MAJOR",
        "2.0.0",
        "parameters: changed, and the content with them",
    ),
]


@pytest.mark.parametrize("changes, change, version, reason", TABLE)
def test_version_table(changes, change, version, reason):
    step = next_version(BASE, replace(BASE, **changes))
    assert (step.change, step.version, step.reasons) == (change, version, (reason,))


def test_the_first_is_1_0_0():
    assert next_version(None, BASE).version == "1.0.0"


def test_the_greatest_change_wins_and_says_only_its_reasons():
    step = next_version(BASE, replace(BASE, mode="recorded", content_hash=OTHER, description="x"))
    assert (step.version, step.reasons) == ("2.0.0", (TABLE[-2][3],))


PART = Part(object=OTHER, bytes=1, rows=1, row_sum=OTHER, first=(5, "F1"), last=(5, "F1"))
ENTRY = SplitEntry(parts=(PART,), rows=1, row_sum=OTHER, left_out={"embargo": 2})
INPUT = replace(INPUTS["weather"], purposes=("a", "b"), batches=(), batch_count=1, batch_list=OTHER)
STORED = replace(
    BASE, inputs={"weather": INPUT}, splits=dict.fromkeys(("train", "valid", "test"), ENTRY)
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"splits": {**STORED.splits, "evaluation": ENTRY}},
        {"splits": {**STORED.splits, "train": replace(ENTRY, parts=(PART, PART), rows=2)}},
        {"erasures": ({"releases": ["delays@1.0.0"]},), "privacy": {"flight": {"class": "none"}}},
        {"pipeline": "p", "live_since_us": 7, "retention": {"until_us": 9}, "coverage": OTHER},
    ],
)
def test_a_manifest_reads_back_as_itself(changes):
    stored = replace(STORED, **changes)
    back = Manifest.from_json(json.loads(json.dumps(stored.to_json())))
    assert back == stored
    assert back.id == stored.id


def format_1():
    """As a release of format 1 wrote it: one object a split, and nothing that came later."""
    form = STORED.to_json()
    later = {"pipeline", "live_since_us", "privacy", "retention", "lineage", "coverage", "erasures"}
    later |= {"terms", "leakage", "card"}
    old = {key: value for key, value in form.items() if key not in later}
    split = {
        "object": OTHER,
        "bytes": 1,
        "rows": 1,
        "row_sum": OTHER,
        "left_out": {"embargo": 2},
        "statistics": {},
    }
    return {**old, "format": 1, "splits": dict.fromkeys(("train", "valid", "test"), split)}


def test_format_1_is_read_and_keeps_its_identity():
    old = format_1()
    read = Manifest.from_json(old)
    assert read.splits["train"].parts == (replace(PART, first=(), last=()),)
    assert read.splits["train"].bytes == 1
    assert read.to_json() == old
    assert read.id == digest(old)
    assert next_version(read, STORED).change == "NONE"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 3},
        {"format": 0},
        {"format": "2"},
        {"format": None},
        {"splits": {"train": ENTRY}},
        {"splits": {**STORED.splits, "dev": ENTRY}},
        {"splits": []},
        {"splits": {"train": {}}},
        {"columns": [{"name": "a"}]},
        {"columns": 3},
        {"surprise": 1},
        {"inputs": {"weather": {}}},
    ],
)
def test_what_is_no_manifest_is_refused(changes):
    form = {**STORED.to_json(), **changes}
    with pytest.raises(StateError, match=r"manifest"):
        Manifest.from_json(form, "there")
    with pytest.raises(StateError, match=r"manifest"):
        Manifest.from_json({**format_1(), **changes, "erasures": []}, "there")


def test_rules_of_another_kind_compare_and_their_bounds_roll():
    rule = {**GroupSplits(("flight",), after="2013-03-01").form(), "key": ["flight"]}
    first = replace(BASE, split_rule=rule)
    assert next_version(BASE, first).change == "MAJOR"
    rolled = replace(first, split_rule={**rule, "after_us": rule["after_us"] + 1})
    assert next_version(first, rolled).reasons == ("split bound after: rolled",)
    lifted = replace(first, split_rule={**rule, "after_us": None})
    assert next_version(first, lifted).reasons == ("split rule after_us: changed",)
