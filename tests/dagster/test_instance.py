"""A plain `dagster dev` finds everything through `.env`."""

import os

import dagster as dg
import pytest
from dotenv import dotenv_values

from headrace.core.home import Home
from headrace.dagster.instance import open_instance, prepare


def test_it_writes_the_home_and_says_where_it_is(home, tmp_path):
    prepare(home, tmp_path)
    assert (home.dagster / "dagster.yaml").exists()
    values = dotenv_values(tmp_path / ".env")
    assert values == {"DAGSTER_HOME": str(home.dagster), "HEADRACE_HOME": str(home.root)}


def test_other_lines_and_an_edited_config_are_kept(tmp_path):
    home = Home(tmp_path / ".headrace")
    (tmp_path / ".env").write_text("# mine\nTOKEN=a=b\nDAGSTER_HOME=/elsewhere\n")
    prepare(home, tmp_path)
    (home.dagster / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare(home, tmp_path)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[:2] == ["# mine", "TOKEN=a=b"]
    assert lines[2:] == [f"DAGSTER_HOME={home.dagster}", f"HEADRACE_HOME={home.root}"]
    assert (home.dagster / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_home_of_one_process_leaves_what_the_project_says(home, tmp_path):
    own = Home(tmp_path / ".headrace")
    text = f"HEADRACE_HOME={own.root}\n\nTOKEN=1\nDAGSTER_HOME={own.dagster}"
    (tmp_path / ".env").write_text(text)
    prepare(home, tmp_path)
    prepare(own, tmp_path)
    assert (tmp_path / ".env").read_text() == text


def test_repeating_it_writes_nothing(home, tmp_path):
    prepare(home, tmp_path)
    before = (tmp_path / ".env").stat().st_mtime_ns
    prepare(home, tmp_path)
    assert (tmp_path / ".env").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["with space", "it's", "a#b", "a$b"])
def test_odd_paths_survive_dotenv(tmp_path, name):
    home = Home(tmp_path / name)
    prepare(home, tmp_path)
    assert dotenv_values(tmp_path / ".env")["HEADRACE_HOME"] == str(home.root)


def test_the_instance_is_the_one_in_the_home(home, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare(home, tmp_path)
    with open_instance(home) as instance:
        assert instance.root_directory == str(home.dagster)
        assert not instance.telemetry_enabled
        assert isinstance(instance, dg.DagsterInstance)
    assert os.environ["DAGSTER_HOME"] == str(tmp_path)
