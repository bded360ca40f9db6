"""Every block of docs/how-to/use-a-dataset.md works as it stands there."""

import inspect
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import typer.main
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.core.clock import HOUR, parse_iso
from headrace.datasets import DatasetSpec, Evaluation, TimeSplits, release
from headrace.features.spec import Label
from headrace.lineage.row_trace import release_trace as trace
from tests.datasets import torch_env
from tests.datasets.frames import INPUTS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-dataset.md"
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", PAGE.read_text(), re.DOTALL)
KEY = ("year", "month", "day", "carrier", "flight", "origin")
# These need the project that made the release, or files of their own: that they are there suffices.
NEED_MORE = ("pip", "export", "rebuild", "register", "trace", "impact", "features")


def frame(rows=3000):
    rng = np.random.default_rng(0)
    t = np.sort(
        rng.integers(parse_iso("2013-01-01") // HOUR, parse_iso("2013-12-20") // HOUR, rows)
    )
    days = (t * HOUR).astype("datetime64[us]").astype("datetime64[D]").astype(object)
    return pa.table(
        {
            "year": pa.array([day.year for day in days]),
            "month": pa.array([day.month for day in days]),
            "day": pa.array([day.day for day in days]),
            "carrier": pa.array(rng.choice(["AA", "B6", "UA"], rows)),
            "flight": pa.array(np.arange(rows)),
            "origin": pa.array(rng.choice(["EWR", "JFK", "LGA"], rows)),
            "t": pa.array(t * HOUR),
            "distance": pa.array(rng.integers(100, 3000, rows)),
            "carrier__late_mean_1d": pa.array(rng.random(rows), mask=rng.random(rows) < 0.1),
            "carrier__rows_1d": pa.array(rng.integers(0, 10**6, rows)),
            "dep_hour": pa.array((t % 24).astype(np.float64)),
            "late": pa.array(rng.integers(0, 2, rows)),
            "label_reason": pa.nulls(rows, pa.string()),
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three versions: with more rows, and then with an evaluation split."""
    folder = tmp_path_factory.mktemp("page") / "store"
    label = Label("late", table="outcomes", key=KEY, columns=("late",), horizon="36h", settle="12h")
    spec = {
        "name": "flights_delay", "key": KEY, "label": label, "cutoff": "2014-01-02",
        "splits": TimeSplits("2013-10-01", "2013-11-01", "2014-01-01"), "description": "flights",
    }  # fmt: skip
    given = {"definitions": {"carrier": "a" * 64, "dep_hour": "b" * 64}, "mode": "declared"}
    given = {**given, "inputs": INPUTS, "code_revision": "r", "store": folder}
    whole, kept = frame(), Evaluation(share=0.3, after="2013-11-20")
    release(DatasetSpec(**spec), whole.slice(0, 2990), **given)
    release(DatasetSpec(**spec), whole, **given)
    release(DatasetSpec(**spec, evaluation=kept), whole, **given)
    return folder


@pytest.fixture
def at_home(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(store))
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEADRACE_PRINCIPAL", "reader")
    monkeypatch.chdir(tmp_path)


def test_the_python_runs(at_home, monkeypatch):
    traced = []

    def traces(*given, **options):
        inspect.signature(trace.trace).bind(*given, **options)
        traced.append(given)

    monkeypatch.setattr("headrace.lineage.row_trace.release_trace.trace", traces)
    names = {}
    for kind, text in BLOCKS:
        if kind == "python" and "torch" not in text:
            exec(compile(text, str(PAGE), "exec"), names)
    assert traced == [
        ("flights_delay@1.0.0", dict(zip(KEY, (2013, 1, 5, "UA", 1545, "EWR"), strict=True)))
    ]
    assert names["evaluation"].splits == ("evaluation",)
    assert "evaluation" not in names["data"].splits


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_torch_runs(at_home, monkeypatch):
    if why := torch_env.missing():
        pytest.skip(why)
    monkeypatch.setattr(sys, "path", [*sys.path, str(torch_env.FOLDER)])
    names = {}
    exec('import headrace\ndata = headrace.open("flights_delay@1.0.0")', names)
    (block,) = [text for kind, text in BLOCKS if kind == "python" and "torch" in text]
    exec(compile(block, str(PAGE), "exec"), names)
    assert len(names["state"]) > 5


def commands():
    for kind, text in BLOCKS:
        if kind == "console":
            yield from (line.split(" #")[0].strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("line", list(commands()))
def test_the_commands_run(at_home, line):
    program, *given = shlex.split(line)
    if program != "headrace":
        assert program in NEED_MORE
        return
    if any(word in NEED_MORE for word in given):
        exists(given)
        return
    done = CliRunner().invoke(app, given)
    assert done.exit_code == (1 if "diff" in given else 0), done.output


def exists(given):
    """The command is there, and takes these options."""
    command = typer.main.get_command(app)
    while given and given[0] in getattr(command, "commands", {}):
        command, given = command.commands[given[0]], given[1:]
    known = {option for one in command.params for option in one.opts}
    assert not hasattr(command, "commands")
    assert {one for one in given if one.startswith("--")} <= known
