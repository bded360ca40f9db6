"""A project that was scaffolded works: outside this checkout, from the package alone."""

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml

from headrace.contracts import load_contract
from headrace.contracts.lint import lint
from headrace.core.errors import DeclarationError
from headrace.gates import load_suite
from headrace.scaffold import new_pipeline, new_project, new_source
from headrace.scaffold.origin import requirement
from tests.scaffold.shop import DAYS, ask, orders

BUILD = """
import json, sys
from pathlib import Path
import headrace
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.pipeline import build_release, build_view, project_pipelines
from headrace.features import RowTransform
home = Home.find(sys.argv[1])
(pipeline,) = project_pipelines()
for table in pipeline.tables:
    ingest(table, pipeline.slots_of(table), home)
for view in pipeline.views:
    if not isinstance(view, RowTransform):
        build_view(pipeline, view, home)
built = build_release(pipeline, home)
dataset = headrace.open(built.metadata["release"], store=home.store)
status = [table_status(home, table) for table in pipeline.tables]
print(json.dumps({"status": status, "rows": len(dataset.df), "columns": list(dataset.df)}))
"""


def run_in(folder, *command):
    """`python <command>` in the project: nothing of this checkout but the package is importable."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("HEADRACE_HOME", None)
    source = os.environ.get("PYTHONPATH", "").split(os.pathsep)[0]
    environment["PYTHONPATH"] = str(Path(source).resolve()) if source else ""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_runs_from_deliveries_to_a_release(made, tmp_path):
    done = run_in(made.root, "-c", BUILD, str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    (orders_status,) = told["status"]
    assert orders_status["delivered"] == orders_status["published"] == DAYS * 8
    assert orders_status["batches"] == {"PASS": DAYS}
    assert orders_status["missing"] == []
    assert told["rows"] == sum(made.decided["labelled"].values()) > 0
    assert "orders__amount_mean_7d" in told["columns"]


def test_its_own_tests_pass(made):
    done = run_in(made.root, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_nothing_is_left_to_fill_in(made):
    for path in made.written:
        if not path.startswith("deliveries/") and path != ".github/workflows/ci.yml":
            text = (made.root / path).read_text()
            assert "$" not in text or path.endswith((".csv", "alerts.yaml")), path
            if path.endswith(".py"):
                compile(text, path, "exec")


def test_contract_and_suite_say_what_was_seen(made):
    contract = load_contract(made.root / "pipelines/shop/contracts/orders.yaml")
    assert contract.primary_key == ("order_id",)
    assert contract.field("order_id").aliases == ("Order ID",)
    assert contract.field("order_id").type == "string", "000001 is no number"
    assert (contract.field("amount").scale, contract.field("amount").max_abs) == (2, 100_000)
    assert contract.owner == contract.licence == "not_stated"
    listed = {hint.fix.rpartition(" ")[2] for hint in lint(contract) if hint.rule == "undecided"}
    assert {"team.name", "customProperties[licence].value"} <= listed
    suite = load_suite(made.root / "quality_suites/shop/orders.yaml", contract)
    kinds = Counter(one.type for one in suite.expectations)
    assert kinds["expect_column_values_to_be_in_set"] == 2, "channel and note"
    assert kinds["expect_column_values_to_not_be_null"] == 2, "customer and channel"


def test_deliveries_are_the_lines_of_the_file(made, data):
    folder = made.root / "deliveries" / "orders"
    files = sorted(folder.iterdir())
    header, *rest = data.read_bytes().splitlines(keepends=True)
    assert len(files) == DAYS
    delivered = [path.read_bytes() for path in files]
    assert all(payload.startswith(header) for payload in delivered)
    lines = [line for payload in delivered for line in payload.splitlines(keepends=True)[1:]]
    assert Counter(lines) == Counter(rest)


def test_nothing_is_overwritten(fresh, data):
    before = {path: path.read_bytes() for path in fresh.root.rglob("*") if path.is_file()}
    with pytest.raises(DeclarationError, match=r"not overwritten: pyproject.toml"):
        new_project("shop", ask(data), fresh.root.parent)
    assert before == {path: path.read_bytes() for path in fresh.root.rglob("*") if path.is_file()}


def test_a_source_joins_the_pipeline(fresh, tmp_path):
    stock = tmp_path / "stock.csv"
    stock.write_text(
        "customer_id,updated_at,tier\n"
        + "".join(f"c{n},2024-02-01T00:00:00Z,{'gold' if n else 'basic'}\n" for n in range(8))
    )
    asked = ask(
        stock,
        time="updated_at",
        key=("customer_id",),
        entity=(),
        kind="state",
        snapshot=True,
        table="customers",
    )
    made = new_source(asked, None, fresh.root)
    assert (
        'table("customers", folder, partitioned=False),'
        in (fresh.root / "pipelines/shop/__init__.py").read_text()
    )
    assert any('Lookup("customers"' in note for note in made.notes)
    # A table that is added by hand has no sample, and the tests of the others go on.
    (fresh.root / "tests/shop/sample/customers.csv").unlink()
    done = run_in(fresh.root, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(DeclarationError, match="there is a table 'customers' already"):
        new_source(asked, None, fresh.root)


def test_a_second_pipeline_is_a_second_code_location(fresh, tmp_path):
    data = orders(tmp_path / "returns.csv")
    new_pipeline("returns", ask(data, target="channel"), fresh.root)
    project = tomllib.loads((fresh.root / "pyproject.toml").read_text())
    assert project["tool"]["headrace"]["pipelines"] == ["pipelines.shop", "pipelines.returns"]
    locations = yaml.safe_load((fresh.root / "workspace.yaml").read_text())["load_from"]
    assert [one["python_module"]["location_name"] for one in locations] == ["shop", "returns"]
    names = (
        "from headrace.pipeline import project_pipelines as p; print(*[one.name for one in p()])"
    )
    done = run_in(fresh.root, "-c", names)
    assert done.stdout.split() == ["shop", "returns"], done.stderr


def test_ci_says_when_it_cannot_know_where_headrace_comes_from(made):
    """This checkout is installed from a folder: no machine of a CI can install that."""
    workflow = yaml.safe_load((made.root / ".github/workflows/ci.yml").read_text())
    (install,) = [
        step["run"]
        for step in workflow["jobs"]["tests"]["steps"]
        if "Install" in step.get("name", "")
    ]
    done = subprocess.run(
        ["bash", "-e", "-c", install], cwd=made.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "it does not name a source of Headrace" in done.stdout
    assert "TODO: where does Headrace come from?" in (made.root / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, "headrace[all]==1.2.0"),
        (
            '{"url": "https://host/headrace", "vcs_info": {"vcs": "git", "commit_id": "ab12"}}',
            "headrace[all] @ git+https://host/headrace@ab12",
        ),
        (
            '{"url": "https://host/headrace-1.2.0.whl", "archive_info": {}}',
            "headrace[all] @ https://host/headrace-1.2.0.whl",
        ),
    ],
)
def test_a_project_requires_the_headrace_that_made_it(record, line):
    assert requirement(record, "1.2.0") == line
