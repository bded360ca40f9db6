"""Feature views, one asset each."""

from headrace.dagster import Asset, stored, view_asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [view_asset(pipeline, view) for view in stored(pipeline.views)]
