"""Dagster's home: made once, found by a plain `dagster dev`, opened from here."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dotenv import dotenv_values

from headrace.core.files import write_atomically
from headrace.core.home import Home

CONFIG = """\
# Written by headrace when it was missing; yours to edit from then on.
telemetry:
  enabled: false
nux:
  enabled: false
# What grows without end is forgotten after a while; runs and asset events are kept.
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days: {skipped: 7, failure: 90, success: -1}
"""


def prepare(home: Home, project: Path) -> None:
    """Make Dagster's home, and tell a plain `dagster dev` in `project` where everything is.

    `.env` is what Dagster reads by itself; only the two lines of ours are touched. Safe to repeat.
    A home that is not the project's own was named for this process: what `.env` says stays then.
    """
    config = home.dagster / "dagster.yaml"
    if not config.exists():
        write_atomically(config, CONFIG.encode())
    file = project / ".env"
    wanted = {"DAGSTER_HOME": str(home.dagster), "HEADRACE_HOME": str(home.root)}
    written = dotenv_values(file) if file.exists() else {}
    present = {name: written[name] for name in wanted if name in written}
    own = home.root == project.absolute() / ".headrace"
    if present != wanted and (own or not present):
        _set_lines(file, wanted)


@contextmanager
def open_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The instance in `home`, whatever `DAGSTER_HOME` says outside."""
    with _environment({"DAGSTER_HOME": str(home.dagster)}), dg.DagsterInstance.get() as instance:
        yield instance


def _set_lines(path: Path, values: Mapping[str, str]) -> None:
    before = path.read_text() if path.exists() else ""
    kept = [line for line in before.splitlines() if line.partition("=")[0].strip() not in values]
    lines = [*kept, *(f"{name}={_quoted(value)}" for name, value in values.items())]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _quoted(value: str) -> str:
    """Dotenv ends an unquoted value at a space or #."""
    plain = all(character.isalnum() or character in "/._-" for character in value)
    return value if plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
