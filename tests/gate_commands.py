"""`headrace gate` in this process, on one table: its exit code and output, or its JSON document."""

import json
from types import SimpleNamespace

from typer.testing import CliRunner

from headrace.cli.app import app


def gate_of(table, home, monkeypatch, folder, pipelines):
    """Return a function that runs `headrace gate WORDS`; its policy is in `folder`, if it exists.

    `pipelines` is the module whose `project_pipelines` the commands call.
    """
    monkeypatch.setenv("HEADRACE_HOME", str(home.root))
    monkeypatch.setenv("HEADRACE_POLICY", str(folder / "policy.yaml"))
    monkeypatch.delenv("HEADRACE_PRINCIPAL", raising=False)
    project = [SimpleNamespace(tables=(table,))]
    monkeypatch.setattr(pipelines, "project_pipelines", lambda: project)

    def run(*words):
        done = CliRunner().invoke(app, ["gate", *words], catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return run


def document(gate, *words):
    """Return the JSON that a command prints."""
    code, text, error = gate(*words, "--json")
    assert code == 0, error
    return json.loads(text)
