"""Helpers that commands share: the pipelines that are meant, signals, and the view in Dagster."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.pipeline import Pipeline


def pipelines(name: str | None) -> "list[Pipeline]":
    """The project's pipelines, or the one of this name."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline import project_pipelines

    every = project_pipelines()
    chosen = [one for one in every if name in {None, one.name}]
    if not chosen:
        names = ", ".join(one.name for one in every)
        raise DeclarationError(f"no pipeline {name!r}", fix=f"one of {names}")
    return chosen


def one_pipeline(name: str | None) -> "Pipeline":
    """The project's pipeline of this name; without a name, its only one."""
    from headrace.core.errors import DeclarationError

    found = pipelines(name)
    if len(found) > 1:
        raise DeclarationError(
            f"which of the {len(found)} pipelines is meant?",
            fix=f"name one of {', '.join(one.name for one in found)}",
        )
    return found[0]


def stopped_by_signals() -> threading.Event:
    """Set by SIGTERM and Ctrl-C."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def show_in_dagster(
    home: "Home", pipelines: "Sequence[Pipeline]"
) -> Callable[[str, Mapping[str, Any]], None]:
    """Listener that shows decisions in Dagster, which is imported only if its home is there."""

    def show(table: str, done: Mapping[str, Any]) -> None:
        if (home.dagster / "dagster.yaml").exists():
            from headrace.dagster.checks.ledger_days import report_decision

            report_decision(home, pipelines, table, done)

    return show
