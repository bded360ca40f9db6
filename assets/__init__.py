"""This project's assets: one module per stage of the chain, composing Headrace's factories."""

from headrace.dagster import Asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    """Everything from a pipeline's sources to its decisions, in the order of the chain."""
    from assets import datasets, features, ingestion, models, monitoring, serving

    stages = (ingestion, features, datasets, models, monitoring, serving)
    return [asset for stage in stages for asset in stage.assets(pipeline)]
