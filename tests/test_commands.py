"""How commands end where something is missing, and what they leave on stderr."""

import json

import pytest
import typer

from headrace.cli.output import MISUSED, emit_json, explained, progress
from headrace.core.progress import report


def lacking(library):
    @explained
    def command():
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    return command


def test_a_library_of_an_extra_is_asked_for(capsys):
    with pytest.raises(typer.Exit) as ended:
        lacking("pyiceberg.catalog")()
    assert ended.value.exit_code == MISUSED
    told = capsys.readouterr().err
    assert "needs pyiceberg, which is not installed" in told
    assert "pip install 'headrace[lake]'" in told


def test_a_module_of_the_project_that_is_not_there_is_no_extra():
    with pytest.raises(ModuleNotFoundError):
        lacking("pipelines.shop")()


def test_help_goes_on_where_only_the_source_was_broken():
    @explained
    def command():
        """Say it.

        A first line that is as long as lines of source may be, and which therefore goes
        on.
        Short.
        headrace dataset ls
        """

    first = "A first line that is as long as lines of source may be, and which therefore goes on."
    assert command.__doc__.split("\n")[2:] == [first, "Short.", "headrace dataset ls"]


def test_progress_of_nothing_is_nothing(capsys):
    with progress(quiet=False):
        pass
    assert capsys.readouterr().err == ""
    with progress(quiet=False):
        report("parts", 1, 2, "a")
    assert "1/2" in capsys.readouterr().err


def test_ids_of_snapshots_are_text_and_counts_are_numbers(capsys):
    big = 2**53 + 1
    tables = [{"snapshot_id": None, "rows": big}]
    frontier, read = {"orders": big}, {"snapshots": {"a": big}}
    emit_json(
        {"snapshot_id": big, "tables": tables, "frontier": frontier, "snapshots": 3, "read": read}
    )
    assert json.loads(capsys.readouterr().out) == {
        "snapshot_id": str(big),
        "tables": [{"snapshot_id": None, "rows": big}],
        "frontier": {"orders": str(big)},
        "snapshots": 3,
        "read": {"snapshots": {"a": str(big)}},
    }
