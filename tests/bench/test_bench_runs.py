"""Every benchmark runs to its end, tiny: what it measures is left to `make bench`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("--scale", "0.0005", "--repeat", "1")
slow = pytest.mark.slow
# Without the peers that need an environment of their own, which is installed when first asked for.
RUNS = (
    ("gates", *SMALL, "--peers", "none"),
    ("releasing", "--rows", "1000"),
    pytest.param(("features", *SMALL, "--only", "1M x 100k", "--peers", "polars"), marks=slow),
    pytest.param(("features", *SMALL, "--only", "out of core"), marks=slow),
    pytest.param(("datasets", *SMALL, "--only", "hash"), marks=slow),
    pytest.param(("monitoring", *SMALL, "--only", "rolled"), marks=slow),
    pytest.param(("serving", *SMALL, "--no-http"), marks=slow),
    pytest.param(("serving_http", *SMALL, "--seconds", "0.2"), marks=slow),
    pytest.param(
        ("streams", "--events", "500", "--repeat", "1", "--minutes", "0.01", "--commits", "3"),
        marks=slow,
    ),
    pytest.param(("cluster", *SMALL), marks=slow),
)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: " ".join(run[:1]))
def test_a_benchmark_runs_to_its_end(run, tmp_path):
    name, *options = run
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
