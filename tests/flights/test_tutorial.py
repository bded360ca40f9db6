"""The tutorial runs as it is written: its blocks, pasted one after the other into a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flights.short_range import ROOT, cut_deliveries

PAGE = ROOT / "docs" / "tutorials" / "source-feature-gate.md"
FIRST, LAST = "2013-03-05", "2013-03-06"
# Ingests these days alone, whatever the page says.
TWO_DAYS = f"""
headrace() {{
  if [ "$1 $2" = "run --stage" ]; then set -- "$@" --from {FIRST} --to {LAST}; fi
  command headrace "$@"
}}
"""
PARTS = (
    "assets",
    "demo",
    "pipelines",
    "quality_suites",
    "pyproject.toml",
    "policy.yaml",
    "alerts.yaml",
)


def sections() -> dict[int, list[str]]:
    """The shell blocks of each numbered section; those before the first are of section 0."""
    found: dict[int, list[str]] = {}
    for number, part in enumerate(re.split(r"^## \d+\. ", PAGE.read_text(), flags=re.MULTILINE)):
        found[number] = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    return found


def scratch(folder: Path) -> Path:
    """A checkout of its own: the project, and the environment that runs this test."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def paste(blocks: list[str], folder: Path) -> str:
    """The output of one shell, in which no command crashed or was refused."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("HEADRACE", "FLIGHTS"))}
    done = subprocess.run(
        ["bash"],
        input="\n".join(blocks),
        cwd=folder,
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    wrong = re.search(r"Traceback|command not found|No such file|^error: .*", said, re.MULTILINE)
    assert not wrong, said[-4000:]
    return said


def test_every_fragment_is_for_the_shell():
    assert set(re.findall(r"```(\w+)", PAGE.read_text())) == {"sh"}
    assert sum(map(len, sections().values())) >= 9


def test_the_tutorial_runs_to_a_feature_on_two_days(flights_deliveries, tmp_path):
    folder = scratch(tmp_path)
    cut_deliveries(flights_deliveries, folder / ".headrace/deliveries/flights", FIRST, LAST)
    parts = sections()
    blocks = [block for number in range(7) for block in parts[number]]
    said = paste([TWO_DAYS, *blocks], folder)
    assert "exit code 1" in said
    assert re.search(r"peak_days\s+snapshot.*BLOCK", said)
    assert re.search(r"│ peak_days\s+│\s+18 │\s+18 │", said)
    assert "peak__rows_1d_ago_to_1d" in said


@pytest.mark.slow
def test_the_tutorial_runs_to_its_release(flights_deliveries, tmp_path):
    folder = scratch(tmp_path)
    shutil.copytree(
        flights_deliveries, folder / ".headrace/deliveries/flights", copy_function=shutil.copy2
    )
    paste(["export PATH=$PWD/.venv/bin:$PATH", "headrace run"], folder)
    said = paste([block for blocks in sections().values() for block in blocks], folder)
    assert "flights_delay@1.1.0" in said
