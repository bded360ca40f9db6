"""A pipeline: one declaration of everything between its sources and its model."""

from headrace.pipeline.build import Built, build_release, build_view, run_monitors, train_model
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.load import load_pipeline, project_pipelines
from headrace.pipeline.triggers import triggers_after

__all__ = [
    "Built",
    "Pipeline",
    "build_release",
    "build_view",
    "load_pipeline",
    "project_pipelines",
    "run_monitors",
    "train_model",
    "triggers_after",
]
