"""The README's commands exist, and its pipeline runs from a CSV to the release that it opens."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from tests.scaffold.shop import orders
from tests.scaffold.test_new import BUILD, run_in

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PIPELINE, USE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted(
    {line.partition("#")[0].strip() for block in SHELL for line in block.splitlines()}
)


def test_two_commands_set_everything_up():
    targets = [command for command in COMMANDS if command.startswith("make ")]
    assert targets == ["make demo", "make test"]
    rules = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {target.split()[1] for target in targets} <= set(rules)


@pytest.mark.parametrize("command", [text for text in COMMANDS if "headrace " in text])
def test_commands_exist(command):
    from headrace.cli.app import app

    program, *words = shlex.split(command)
    if program == "pip":
        return
    node = typer.main.get_command(app)
    while words and words[0] in getattr(node, "commands", {}):
        node = node.commands[words.pop(0)]
    assert not getattr(node, "commands", {}), f"{command}: {words} is not a command"
    options = {name for option in node.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    data = orders(folder / "orders.csv")
    data.write_text(data.read_text().replace("Order ID", "order_id", 1))
    (draft,) = (command for command in COMMANDS if command.startswith("headrace new project"))
    main = "from headrace.cli import main; main()"
    run = run_in(folder, "-c", main, *shlex.split(draft)[1:])
    assert run.returncode == 0, run.stdout + run.stderr
    page = re.match(r"# (\S+)\n", PIPELINE)
    (folder / "shop" / page[1]).write_text(PIPELINE)
    return folder / "shop"


def test_its_pipeline_runs_to_the_release_that_it_opens(shop, tmp_path):
    run = run_in(shop, "-c", BUILD, str(tmp_path / "home"))
    assert run.returncode == 0, run.stderr
    built = json.loads(run.stdout.splitlines()[-1])
    assert built["status"][0]["batches"] == {"PASS": 60}
    assert {"history__rows_7d", "history__amount_mean_28d"} <= set(built["columns"])
    home = f"import os; os.environ['HEADRACE_HOME'] = {str(tmp_path / 'home')!r}"
    used = run_in(shop, "-c", f"{home}\n{USE}")
    assert used.returncode == 0, used.stderr


def figure(pattern: str, text: str) -> float:
    (number,) = re.findall(pattern, text)
    return float(number.replace(",", ""))


@pytest.mark.parametrize(
    ("claim", "measured"),
    [
        (r"takes (\d+) seconds", r"\| year from deliveries to model \| ([\d.]+) s \| polars"),
        (
            r"result takes (\d+)\.",
            r"year from deliveries to model \| [\d.]+ s \| polars \| ([\d.]+) s",
        ),
        (r"Of ([\d,]+) faults", r"started by the evidence of\s+([\d,]+) faults of data"),
        (r"and (\d+) led to a retraining", r"(\d+) started by the evidence of"),
        (r"the monitor detected (\d+) %", r"\| data, all \| \d+ \| ([\d.]+)%"),
        (r"About (\d+) % of weeks", r"\| \*\*together\*\* \| \d+ \| ([\d.]+)%"),
    ],
)
def test_figures_are_those_of_the_benchmarks(claim, measured):
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert figure(claim, TEXT) == pytest.approx(figure(measured, page), rel=0.05)
