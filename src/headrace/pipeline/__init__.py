"""A pipeline: one declaration of everything between its sources and its model."""

from typing import TYPE_CHECKING, Any

from headrace.pipeline.build import Built, build_release, build_view, train_model
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import load_pipeline, project_pipelines
from headrace.pipeline.monitor_inputs import run_monitors
from headrace.retraining.triggers import open_triggers

if TYPE_CHECKING:
    from headrace.pipeline.serving import feature_service, served_log
    from headrace.reports.monitor.facts import monitor_standing

__all__ = [
    "Built",
    "Pipeline",
    "build_release",
    "build_view",
    "feature_service",
    "load_pipeline",
    "monitor_standing",
    "open_triggers",
    "project_pipelines",
    "run_monitors",
    "served_log",
    "train_model",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    """Serving and reports are imported when they are used: building needs none of them."""
    if name == "monitor_standing":
        from headrace.reports.monitor.facts import monitor_standing

        return monitor_standing
    if name in {"feature_service", "served_log"}:
        from headrace.pipeline import serving

        return getattr(serving, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
