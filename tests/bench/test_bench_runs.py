"""Every benchmark runs to its end, tiny: what it measures is left to `make bench`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.streams.kit import NATS, REDIS, answers

ROOT = Path(__file__).parents[2]
SMALL = ("--scale", "0.0005", "--repeat", "1")
# Without the peers that need an environment of their own, which is installed when first asked for.
RUNS = (
    ("gates", *SMALL, "--peers", "none"),
    ("releasing", "--rows", "1000"),
    ("features", *SMALL, "--only", "20 features, 1M x 100k", "--peers", "polars searched"),
    ("features", *SMALL, "--only", "out of core"),
    ("datasets", *SMALL, "--only", "hash"),
    ("monitoring", *SMALL, "--only", "rolled"),
    ("serving", *SMALL, "--no-http", "--peers", "none"),
    ("serving_http", *SMALL, "--seconds", "0.2", "--peers", "none"),
    pytest.param(
        ("streams", "--events", "500", "--repeat", "1", "--minutes", "0.01", "--commits", "3"),
        marks=[pytest.mark.nats, pytest.mark.redis],
    ),
    ("cluster", *SMALL, "--peers", "sail"),
)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: " ".join(run[:1]))
def test_a_benchmark_runs_to_its_end(run, tmp_path):
    name, *options = run
    if name == "streams" and not (answers(NATS) and answers(REDIS)):
        pytest.skip("no NATS server, or no Redis server, answers")
    environment = os.environ | {"HEADRACE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
