"""Dagster's home folder: create it, and let a plain `dagster dev` find it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dotenv import dotenv_values

from headrace.core.files import write_atomically
from headrace.core.home import Home

CONFIG = """\
# Headrace wrote this file because it was missing. You may edit it.
telemetry:
  enabled: false
nux:
  enabled: false
# Old ticks of schedules and sensors are deleted; runs and asset events are kept.
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days: {skipped: 7, failure: 90, success: -1}
"""


def prepare(home: Home, project: Path) -> None:
    """Create Dagster's home, and write its path to `.env` in `project` for a plain `dagster dev`.

    Dagster reads `.env` by itself. Only the lines DAGSTER_HOME and HEADRACE_HOME are changed. If
    `home` is not the project's own and `.env` already names a home, `.env` is not changed. Safe to
    repeat.
    """
    config = home.dagster / "dagster.yaml"
    if not config.exists():
        write_atomically(config, CONFIG.encode())
    file = project / ".env"
    settings = {"DAGSTER_HOME": str(home.dagster), "HEADRACE_HOME": str(home.root)}
    written = dotenv_values(file) if file.exists() else {}
    present = {name: written[name] for name in settings if name in written}
    is_project_home = home.root == project.absolute() / ".headrace"
    if present != settings and (is_project_home or not present):
        _set_lines(file, settings)


@contextmanager
def open_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance in `home`, regardless of `DAGSTER_HOME` in the environment."""
    with _environment({"DAGSTER_HOME": str(home.dagster)}), dg.DagsterInstance.get() as instance:
        yield instance


def _set_lines(path: Path, values: Mapping[str, str]) -> None:
    before = path.read_text() if path.exists() else ""
    unchanged = [
        line for line in before.splitlines() if line.partition("=")[0].strip() not in values
    ]
    lines = [*unchanged, *(f"{name}={_quoted(value)}" for name, value in values.items())]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _quoted(value: str) -> str:
    """Quote a value if needed: dotenv ends an unquoted value at a space or #."""
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
