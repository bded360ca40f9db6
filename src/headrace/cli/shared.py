"""Helpers that commands share: selection of pipelines, signals, and reports to Dagster."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.pipeline import Pipeline


def pipelines(name: str | None) -> "list[Pipeline]":
    """Return the project's pipelines, or only the one with this name."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline import project_pipelines

    declared = project_pipelines()
    selected = [pipeline for pipeline in declared if name in {None, pipeline.name}]
    if not selected:
        raise DeclarationError(f"no pipeline {name!r}", fix=f"one of {_names(declared)}")
    return selected


def one_pipeline(name: str | None) -> "Pipeline":
    """Return the project's pipeline of this name; without a name, its only pipeline."""
    from headrace.core.errors import DeclarationError

    selected = pipelines(name)
    if len(selected) > 1:
        raise DeclarationError(
            f"there are {len(selected)} pipelines", fix=f"--pipeline with one of {_names(selected)}"
        )
    return selected[0]


def _names(pipelines: "Sequence[Pipeline]") -> str:
    return ", ".join(pipeline.name for pipeline in pipelines)


def stopped_by_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def show_in_dagster(
    home: "Home", pipelines: "Sequence[Pipeline]"
) -> Callable[[str, Mapping[str, Any]], None]:
    """Return a listener that reports decisions to Dagster, if the home was used with Dagster."""

    def show(table: str, outcome: Mapping[str, Any]) -> None:
        if (home.dagster / "dagster.yaml").exists():
            from headrace.dagster.checks.ledger_days import report_decision

            report_decision(home, pipelines, table, outcome)

    return show
