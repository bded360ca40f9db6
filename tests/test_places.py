"""A variable that names a folder which is not there stops a command: it is no empty place."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home, places_for
from headrace.datasets.store.store import Store

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("variable", ["HEADRACE_STORE", "HEADRACE_HOME"])
def test_a_command_that_reads_refuses_a_folder_that_is_not_there(tmp_path, monkeypatch, variable):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HEADRACE_HOME", str(Home(tmp_path / "home").root))
    monkeypatch.setenv(variable, str(tmp_path / "gone"))
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 2
    assert f"{variable} names {tmp_path / 'gone'}, and there is no folder" in done.output
    assert f"fix: correct or unset {variable}, or create the folder: mkdir -p" in done.output
    assert not (tmp_path / "gone").exists()


def test_what_may_be_created_is_one_folder_in_one_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "new"))
    with places_for("create"):
        assert Store.find().root == tmp_path / "new"
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "not" / "mounted"))
    with (
        places_for("create"),
        pytest.raises(DeclarationError, match="there is no folder") as caught,
    ):
        Store.find()
    assert str(tmp_path / "not") in caught.value.what
    monkeypatch.setenv("HEADRACE_STORE", "s3://bucket/store")
    with places_for("read"):
        assert Home(tmp_path / "home").store == "s3://bucket/store"


def test_a_library_call_says_that_the_folder_of_a_store_is_not_there(tmp_path):
    with pytest.raises(StateError, match="there is no shop") as caught:
        Store.find(tmp_path / "gone").resolve("shop@latest")
    assert f"there is no folder {tmp_path / 'gone'}" in caught.value.fix
