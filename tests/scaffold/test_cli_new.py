"""`headrace new` teaches, and never starts from nothing."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app


def run(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["new", *arguments])


@pytest.mark.parametrize("command", ["project", "pipeline", "source"])
def test_help_has_an_example(command):
    assert f"headrace new {command}" in run(command, "--help").output


@pytest.mark.parametrize("command", ["project", "pipeline", "source"])
def test_without_data_it_says_what_to_give(command):
    done = run(command, "shop")
    assert done.exit_code == 2
    assert "give --data FILE, --key COLUMN" in done.output
    assert f"headrace new {command} shop --data" in done.output


def test_json_lists_what_was_written(data, tmp_path):
    options = ["--time", "ordered_at", "--key", "Order ID", "--entity", "customer_id"]
    done = run("project", "shop", "--data", str(data), *options, "--out", str(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert all((tmp_path / "shop" / path).is_file() for path in told["written"])
    assert told["decided"]["target"] == "amount_high"


def test_a_bad_name_is_refused(data, tmp_path):
    options = ["--data", str(data), "--time", "ordered_at", "--key", "Order ID"]
    done = run("project", "My Shop", *options, "--out", str(tmp_path))
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []
