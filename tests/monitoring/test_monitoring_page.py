"""Run the commands of docs/explanation/monitoring.md, load its policy, find its pictures."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from headrace.cli import app as commands
from headrace.core.home import Home
from headrace.monitoring import Policy, load_policy
from headrace.monitoring.evidence.model import KINDS
from headrace.reports.monitor import sentences
from tests.monitoring.watched import watched

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "monitoring.md"
TEXT = PAGE.read_text()
# These need a pipeline with tables, a server, minutes or what is accepted: that they are there
# suffices.
NEED_MORE = {"run", "reports", "verify", "retrain", "alert", "--withdraw"}


def lines():
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        yield from (line.split(" #")[0].strip() for line in block.splitlines() if line.strip())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return watched(tmp_path_factory.mktemp("page"))[:2]


@pytest.fixture
def there(made, tmp_path, monkeypatch):
    pipeline, home = made
    shutil.copytree(home.root, tmp_path / "home")
    (tmp_path / "other.yaml").write_text("version: 1\nhysteresis: 3\n")
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(Home(tmp_path / "home").root))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", list(lines()))
def test_the_commands_run(there, line):
    program, *given = shlex.split(line)
    assert program == "headrace"
    if NEED_MORE & set(given):
        exists(given)
        return
    done = CliRunner().invoke(commands.app, given)
    assert done.exit_code == 0, done.output


def exists(given):
    """The command is there, and takes these options."""
    command = typer.main.get_command(commands.app)
    while given and given[0] in getattr(command, "commands", {}):
        command, given = command.commands[given[0]], given[1:]
    known = {option for one in command.params for option in one.opts}
    assert not hasattr(command, "commands")
    assert {one for one in given if one.startswith("--")} <= known


def test_the_policy_is_one(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "policy.yaml").write_text(block)
    assert load_policy(tmp_path / "policy.yaml").cool_down == Policy().cool_down


def test_every_kind_of_evidence_and_every_rule_is_told():
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == set(KINDS)
    for name, _, _ in sentences.rules(Policy()):
        assert f"`{name}`" in TEXT or f"{name}:" in TEXT


def test_its_pictures_are_there():
    for path in re.findall(r"\]\((\.\./images/[^)]+)\)", TEXT):
        assert (PAGE.parent / path).exists(), path
