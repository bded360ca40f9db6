"""One vocabulary of options, valid examples, and earlier names that still work."""

import re
import shlex
from collections import defaultdict

import pytest
import typer
from typer.testing import CliRunner

from headrace.cli.app import app

RUNNER = CliRunner(env={"COLUMNS": "200"})
# Their help is about more than the option alone.
OWN_HELP = {
    ("dataset diff", "--json"),
    ("dataset card", "--json"),
    ("gate rows", "--json"),
    ("trace", "--json"),
    ("maintain", "--dry-run"),
    ("dataset gc", "--dry-run"),
}
RENAMED = {
    "simulate": "verify simulate",
    "features parity": "verify parity",
    "features leaks": "verify leaks",
    "features audit": "verify skew",
    "features planted": "verify self-test",
    "gate faults": "verify faults",
    "gate release": "gate approve",
    "monitor bench": "verify monitors",
    "online fill": "online sync",
    "online thin": "online prune",
    "source try": "source inspect",
}


def commands(group=None, path=()):
    """Yield the path of each command of the tree, with the command."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


TREE = dict(commands())
SHOWN = {path: command for path, command in TREE.items() if not command.hidden}


@pytest.mark.parametrize("option", ["--json", "--dry-run", "--as", "--pipeline"])
def test_an_option_means_the_same_everywhere(option):
    helps = defaultdict(list)
    for path, command in SHOWN.items():
        for param in command.params:
            if option in param.opts and (path, option) not in OWN_HELP:
                helps[param.help].append(path)
    # A command that lists takes all pipelines, one that acts on one takes only that.
    expected = 2 if option == "--pipeline" else 1
    extra = {"new source"} if option == "--pipeline" else set()
    assert len([text for text, paths in helps.items() if set(paths) != extra]) == expected, helps


def test_every_command_prints_json_unless_it_serves_or_writes_a_file():
    without = {
        path
        for path, command in SHOWN.items()
        if not any("--json" in param.opts for param in command.params)
    }
    serve = {"ui", "serve", "reports"}
    write = {"features forms", "gate report", "gate export", "lineage export", "monitor report"}
    assert without == serve | write | {"model promote"}


def examples(path):
    """Return the examples in the help of a command."""
    text = SHOWN[path].help.replace("\\\n", " ")
    return re.findall(r"^ +headrace (.+)$", text, re.MULTILINE)


def test_most_commands_have_an_example():
    assert sum(bool(examples(path)) for path in SHOWN) > 0.6 * len(SHOWN)


@pytest.mark.parametrize("path", SHOWN)
def test_examples_of_the_help_are_commands(path):
    for example in examples(path):
        words = shlex.split(example.partition(" > ")[0])
        depth = 2 if " ".join(words[:2]) in SHOWN else 1
        command = SHOWN[" ".join(words[:depth])]
        command.make_context(command.name, words[depth:])
    if path not in {"status", "ui", "reports", "demo"}:
        assert SHOWN[path].help.split("\n")[0].endswith(".")


def test_earlier_names_are_hidden_and_say_the_present_one(tmp_path, monkeypatch):
    assert {path for path in TREE if path not in SHOWN} == set(RENAMED)
    assert set(RENAMED.values()) <= set(SHOWN)
    monkeypatch.chdir(tmp_path)
    done = RUNNER.invoke(app, ["features", "parity", "--json"])
    assert done.exit_code == 2
    assert "headrace features parity is now headrace verify parity" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("earlier", RENAMED)
def test_an_earlier_name_takes_the_same_options(earlier):
    options = [[param.opts for param in TREE[path].params] for path in (earlier, RENAMED[earlier])]
    assert options[0] == options[1]


@pytest.mark.parametrize(
    ("path", "words", "name", "expected"),
    [
        ("online sync", ["--anew"], "full_refresh", True),
        ("dataset gc", ["--delete"], "dry_run", False),
        ("dataset pull", ["shop@1.0.0", "--to", "folder"], "to", "folder"),
        ("dataset pull", ["shop@1.0.0", "--to=folder"], "to", "folder"),
        ("serve", ["--fill"], "sync", True),
        ("serve", ["--store", "tables"], "backend", "tables"),
        ("dataset coverage", ["shop@1.0.0", "--store", "folder"], "store", "folder"),
        ("verify parity", ["--via", "store"], "backend", "store"),
        ("features frame", ["--out", "a.parquet", "--to", "2024-01-01"], "last", "2024-01-01"),
        ("run", ["shop"], "pipeline", "shop"),
        ("run", ["--from", "2024-01-01", "shop"], "pipeline", "shop"),
        ("run", ["--pipeline", "shop"], "pipeline", "shop"),
        ("monitor status", ["-p", "shop"], "pipeline", "shop"),
    ],
)
def test_options(path, words, name, expected):
    command = TREE[path]
    assert command.make_context(command.name, words).params[name] == expected


@pytest.mark.parametrize("words", [["a", "b"], ["--pipeline", "a", "b"]])
def test_a_pipeline_is_given_once(words):
    done = RUNNER.invoke(app, ["run", *words])
    assert done.exit_code == 2
    assert "unexpected extra argument" in done.stderr
