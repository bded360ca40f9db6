"""Pipelines: one declaration of everything from sources to model, and the steps that build it."""

from typing import TYPE_CHECKING, Any

from headrace.pipeline.build import Built, build_release, build_view, train_model
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import load_pipeline, project_pipelines

if TYPE_CHECKING:
    from headrace.pipeline.serving.services import feature_service, served_log

__all__ = [
    "Built",
    "Pipeline",
    "build_release",
    "build_view",
    "feature_service",
    "load_pipeline",
    "project_pipelines",
    "served_log",
    "train_model",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    """Import serving only when it is used, because building does not need it."""
    if name in {"feature_service", "served_log"}:
        from headrace.pipeline.serving import services

        return getattr(services, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
