"""Models trained on releases."""

from headrace.dagster import Asset, model_asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [model_asset(pipeline)]
