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


def dataset_pipelines(name: str | None, dataset: str | None = None) -> "list[Pipeline]":
    """Return the pipeline of each dataset, or only that of the dataset with this name."""
    return _parts(name, "dataset", dataset)


def monitor_pipelines(name: str | None, monitor: str | None = None) -> "list[Pipeline]":
    """Return the pipeline of each monitor, or only that of the monitor with this name."""
    return _parts(name, "monitor", monitor)


def one_dataset(name: str | None, dataset: str | None = None) -> "Pipeline":
    """Return the pipeline of the dataset with this name; without a name, of the only dataset."""
    return _only(_parts(name, "dataset", dataset), name, "dataset")


def one_model(name: str | None, model: str | None = None) -> "Pipeline":
    """Return the pipeline of the model with this name; without a name, of the only model."""
    return _only(_parts(name, "model", model), name, "model")


def one_monitor(name: str | None, monitor: str | None = None) -> "Pipeline":
    """Return the pipeline of the monitor with this name; without a name, of the only monitor."""
    return _only(_parts(name, "monitor", monitor), name, "monitor")


def _parts(name: str | None, kind: str, part_name: str | None) -> "list[Pipeline]":
    """Return the pipeline of each part of a kind, or only that of the part with this name.

    Raises:
        DeclarationError: there is no such part.
    """
    from headrace.core.errors import DeclarationError

    declared = pipelines(name)
    by_kind = {
        "dataset": [part for pipeline in declared for part in pipeline.each_dataset()],
        "model": [part for pipeline in declared for part in pipeline.each_model()],
        "monitor": [part for pipeline in declared for part in pipeline.each_monitor()],
    }
    parts = by_kind[kind]
    selected = [part for part in parts if part_name in {None, getattr(part, kind).name}]
    if not selected:
        raise DeclarationError(
            f"no {kind} {part_name!r}" if part_name else f"no {kind} is declared",
            where=f"pipelines {_names(declared)}",
            fix=f"one of {_part_names(parts, kind)}"
            if parts
            else f"declare one: Pipeline(..., {kind}s=(...,))",
        )
    return selected


def _only(parts: "list[Pipeline]", name: str | None, kind: str) -> "Pipeline":
    """Return the only pipeline of a kind of part.

    Raises:
        DeclarationError: there are several.
    """
    from headrace.core.errors import DeclarationError

    if len(parts) == 1:
        return parts[0]
    pipeline_names = list(dict.fromkeys(part.name for part in parts))
    if len(pipeline_names) > 1 and name is None:
        raise DeclarationError(
            f"there are {len(pipeline_names)} pipelines",
            fix=f"--pipeline with one of {', '.join(pipeline_names)}",
        )
    raise DeclarationError(
        f"there are {len(parts)} {kind}s",
        where=f"pipeline {parts[0].name}",
        fix=f"--{kind} with one of {_part_names(parts, kind)}",
    )


def _part_names(parts: "Sequence[Pipeline]", kind: str) -> str:
    return ", ".join(getattr(part, kind).name for part in parts)


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
