"""What people see in the graph, pinned. UPDATE_SNAPSHOTS=1 writes the pins anew: read the diff."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HEAVY = ("pyiceberg", "lightgbm", "great_expectations", "sqlalchemy.orm", "sklearn")


def described(defs: dg.Definitions) -> dict:
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    assets = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.path):
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "partitioned": node.partitions_def is not None,
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "checks": sorted(check.name for check in node.check_keys),
            "owners": sorted(node.owners),
            "kinds": sorted(node.kinds),
        }
    jobs = {
        job.name: sorted(node.name for node in job.nodes)
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    return {
        "assets": assets,
        "jobs": jobs,
        "schedules": {
            one.name: [one.job_name, one.cron_schedule] for one in repository.schedule_defs
        },
        "sensors": {one.name: launched(one) for one in repository.sensor_defs},
    }


def launched(sensor: dg.SensorDefinition) -> str | None:
    """The jobs that it launches; None for one that only looks."""
    return ", ".join(job.name for job in sensor.jobs) if sensor.has_jobs else None


def compare(found: dict, name: str) -> None:
    path = HERE / "snapshots" / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(path.read_text())


def test_the_shop_as_pinned(defs):
    compare(described(defs), "shop")


def test_the_flights_as_pinned():
    found = described(importlib.import_module("pipelines.flights.definitions").defs)
    compare(found, "flights")


def test_every_stage_is_reached_from_a_source(defs):
    graph = defs.get_repository_def().asset_graph
    decision = dg.AssetKey(["monitoring", "shop", "decision"])
    upstream, front = set(), {decision}
    while front:
        upstream |= front
        front = {parent for key in front for parent in graph.get(key).parent_keys} - upstream
    assert {key.path[0] for key in upstream} == {
        "sources", "tables", "features", "datasets", "models", "monitoring",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["job", "schedule", "sensor"])
def test_everything_says_what_it_is(defs, kind):
    repository = defs.get_repository_def()
    found = {
        "job": [job for job in repository.get_all_jobs() if not job.name.startswith("__")],
        "schedule": repository.schedule_defs,
        "sensor": repository.sensor_defs,
    }[kind]
    assert [one.name for one in found if not one.description] == []


def test_columns_carry_their_units(defs):
    spec = defs.resolve_assets_def(dg.AssetKey(["tables", "visits"])).specs_by_key
    schema = spec[dg.AssetKey(["tables", "visits"])].metadata["dagster/column_schema"]
    told = {column.name: column.description for column in schema.columns}
    assert told["visitors"] == "Who came in. unit person"
    assert told["hour"] == "Beginning of the hour. zone UTC"


def test_loading_is_light_warns_of_nothing_and_touches_no_state(tmp_path):
    """In a process of its own, with every warning an error."""
    check = (
        "import sys, pipelines.flights.definitions; "
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    state = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", check],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "HEADRACE_HOME": str(state)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert not state.exists()
