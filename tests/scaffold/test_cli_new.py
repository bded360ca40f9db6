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
    assert "no data to start from: name a CSV file" in done.output
    assert f"headrace new {command} shop --data" in done.output


def test_without_a_key_it_suggests_columns_of_the_file(data, tmp_path):
    done = run("project", "shop", "--data", str(data), "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "no primary key: name the columns that together identify a row" in done.output
    assert "such as --key 'Order ID'" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["project", "pipeline"])
def test_a_pipeline_of_tables_only_takes_no_target(command, data):
    options = ["--data", str(data), "--key", "Order ID", "--target", "amount", "--tables-only"]
    done = run(command, "shop", *options)
    assert done.exit_code == 2
    assert "a pipeline of tables only has no column to predict" in done.output
    assert "leave out --target" in done.output


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
