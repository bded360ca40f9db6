"""Governance on a real lake: what contracts say decides, down to the model that is marked."""

import json
from dataclasses import replace

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.core.errors import DeclarationError, ExpiredError, RefusedError, StateError
from headrace.core.permissions import local_user
from headrace.datasets import Store, list_releases
from headrace.datasets.erasure.residue_scan import where_stored
from headrace.datasets.erasure.tombstone import GoneError
from headrace.datasets.governance.privacy import Generalise, Keep, Pseudonymise
from headrace.datasets.governance.privacy_key import FILE, TEXT, PrivacyKey
from headrace.lake.table import Table
from headrace.lineage.rebuild import rebuild
from headrace.operations.erasure import erase
from headrace.pipeline import build_release, train_model
from headrace.reports.status import model_rows
from tests.serving.world import DAYS, World

SECRET = "0123456789abcdef0123456789abcdef"
CLASSES = {"plan": {"line": "personal"}, "arrivals": {"delay": "sensitive", "line": "personal"}}
TREATED = {
    "line": Pseudonymise(),
    "line__delay*": Generalise(5),
    "line__taken_sum*": Keep("a sum over a day"),
    "stop__delay*": Keep("a greatest value over six hours"),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("HEADRACE_STORE", "HEADRACE_HOME", FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(TEXT, SECRET)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("governed"))
    made.deliver_days(DAYS)
    made.publish()
    return made


def governed(world, *, classes=CLASSES, contracts=None, **dataset):
    """The pipeline with other classes, other terms and another dataset."""
    return replace(
        world.pipeline,
        tables=tuple(
            table_with(table, classes.get(table.name, {}), (contracts or {}).get(table.name, {}))
            for table in world.pipeline.tables
        ),
        dataset=replace(world.pipeline.dataset, **dataset),
        model=replace(
            world.pipeline.model, dataset=dataset.get("name", world.pipeline.dataset.name)
        ),
    )


def table_with(table: Table, classes, terms) -> Table:
    columns = tuple(
        replace(one, privacy=classes.get(one.name, one.privacy)) for one in table.contract.columns
    )
    return replace(table, contract=replace(table.contract, columns=columns, **terms))


def test_personal_columns_need_a_treatment_also_what_is_computed(world):
    with pytest.raises(DeclarationError) as caught:
        build_release(governed(world, name="untreated"), world.home)
    told = caught.value.what
    for column in ("line (personal)", "line__delay_mean_1d (sensitive)", "stop__delay_max_6h"):
        assert column in told
    assert "line__taken_sum_where_delay_gt_5_1d (sensitive)" in told  # by its filter
    for column in ("late", "fare", "ahead__", "gauge__", "line__rows_6h", "busy"):
        assert f"{column} (" not in told


def test_a_treated_release_names_nobody_and_is_made_again_by_its_key_alone(world, monkeypatch):
    pipeline = governed(world, name="treated", privacy=TREATED)
    ref = build_release(pipeline, world.home).metadata["release"]
    opened = headrace.open(ref, world.home.store)
    key = PrivacyKey.find("a test")
    assert set(opened.arrow["line"].to_pylist()) == {key.pseudonym(line) for line in "ABC"}
    means = opened.arrow["line__delay_mean_1d"].drop_null()
    assert pc.all(pc.equal(pc.multiply(pc.floor(pc.divide(means, 5)), 5), means)).as_py()
    facts = opened.manifest.privacy
    assert facts["line"] == {
        "class": "personal",
        "treatment": "pseudonymise",
        "key_id": key.id,
    }
    assert facts["stop__delay_max_6h"]["class"] == "sensitive"
    assert rebuild(ref, [pipeline], world.home).equal
    other = governed(world, name="treated", privacy={**TREATED, "line__delay*": Keep("now")})
    with pytest.raises(DeclarationError, match="line__delay_mean_1d: keep, it was generalise"):
        rebuild(ref, [other], world.home)
    monkeypatch.setenv(TEXT, "another key, of more than 32 characters")
    with pytest.raises(StateError, match=f"made with the privacy key {key.id}"):
        rebuild(ref, [pipeline], world.home)
    monkeypatch.delenv(TEXT)
    with pytest.raises(StateError, match="needs a privacy key"):
        rebuild(ref, [pipeline], world.home)


def test_terms_of_the_sources_decide(world):
    for terms, says in (
        ({"licence": "CC-BY-NC-4.0"}, "gauges: its licence CC-BY-NC-4.0 is for non-commercial"),
        ({"purposes": ("research",)}, "gauges: it allows research only"),
        ({"licence": "somehow"}, "gauges: its licence 'somehow' is not reviewed"),
    ):
        pipeline = governed(world, classes={}, contracts={"gauges": terms}, name="termed")
        with pytest.raises(DeclarationError, match=says) as caught:
            build_release(pipeline, world.home)
        assert "agree other terms with lines" in caught.value.fix
    allowed = governed(
        world,
        classes={},
        contracts={"gauges": {"licence": "CC-BY-NC-4.0"}},
        name="termed",
        commercial=False,
    )
    ref = build_release(allowed, world.home).metadata["release"]
    terms = headrace.open(ref, world.home.store).manifest.terms
    assert terms["credits"] == ["gauges, by lines, under CC-BY-NC-4.0"]
    assert "no commercial use: gauges is under CC-BY-NC-4.0" in terms["obligations"]


def test_retention_of_a_contract_runs_out(world):
    def kept_for(value):
        sla = {"slaProperties": [{"property": "retention", "value": value, "unit": "d"}]}
        document = {"document": sla}
        return governed(world, classes={}, contracts={"plan": document}, name=f"kept{value}")

    with pytest.raises(DeclarationError, match="may no longer be kept: plan may be kept for 5"):
        build_release(kept_for(5), world.home)
    ref = build_release(kept_for(60), world.home).metadata["release"]
    with pytest.raises(ExpiredError, match="plan may be kept for 60 days"):
        headrace.open(ref, world.home.store)
    line = next(one for one in list_releases(world.home.store) if one.ref == ref)
    assert (line.kept_until[:10], line.expired) == ("2024-04-29", True)


def test_erased_from_a_built_home_down_to_the_model(world, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    pipeline = governed(world, classes={}, name="line_lateness")
    ref = build_release(pipeline, world.home).metadata["release"]
    train_model(pipeline, world.home)
    trips = headrace.open(ref, world.home.store, split="train").arrow["trip"]
    trip = str(trips[7].as_py())

    planned = erase(
        world.home, {"trip": trip}, principal=local_user(), reason="case 9", dry_run=True
    )
    assert ref in [one["ref"] for one in planned["releases"]]
    assert [one["champion"] for one in planned["models"]] == [True]
    assert headrace.open(ref, world.home.store)

    with pytest.raises(RefusedError, match="nobody-in-particular"):
        erase(world.home, {"trip": trip}, principal="nobody-in-particular", reason="case 9")
    done = erase(world.home, {"trip": trip}, principal=local_user(), reason="case 9")
    assert done["remains"] == []
    assert {one["problem"] for one in done["proofs"]} == {""}
    assert [one["dataset"] for one in done["models"]] == [ref]
    assert "staged" in [one["area"] for one in done["elsewhere"]]
    assert where_stored(Store(world.home.store).storage, {"trip": trip}) == []
    with pytest.raises(GoneError):
        headrace.open(ref, world.home.store)
    (row,) = model_rows(world.home)
    assert "case 9" in row["tainted"][0]
    successor = next(one["new"] for one in done["replaced"] if one["old"] == ref)
    assert build_release(pipeline, world.home).metadata["release"] == successor
    assert train_model(pipeline, world.home).metadata["dataset"] == successor
    lines = (world.home.root / "erasures.ndjson").read_text().split("\n")
    lines = [line for line in lines if line]
    assert [json.loads(line)["replaced"][ref] for line in lines] == [successor]

    runner = CliRunner()
    told = runner.invoke(app, ["dataset", "erase", "--list", "--json"])
    (listed,) = json.loads(told.output)["erasures"]
    assert listed["replaced"][ref] == successor
    again = runner.invoke(
        app, ["dataset", "erase", "--entity", f"trip={trip}", "-m", "case 9", "--no-scan"]
    )
    assert (again.exit_code, "no release contains it" in again.output) == (0, True)
    wrong = runner.invoke(app, ["dataset", "erase", "--entity", "trip", "-m", "case 9"])
    assert wrong.exit_code == 2
    resumed = runner.invoke(app, ["dataset", "erase", "--resume", "--json"])
    assert json.loads(resumed.output)["replaced"] == []
    shown = runner.invoke(app, ["dataset", "card", successor])
    assert "erased: case 9" in shown.output
    refused = runner.invoke(app, ["dataset", "card", ref])
    assert refused.exit_code == 3
    gone = runner.invoke(app, ["dataset", "retire", successor, "-m", "it was a test", "--json"])
    assert json.loads(gone.output)["retired"][0]["ref"] == successor
    expired = runner.invoke(app, ["dataset", "retire", "--expired", "--json"])
    assert [one["ref"][:4] for one in json.loads(expired.output)["retired"]] in (["kept"], [])
