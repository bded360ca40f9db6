"""Dataset releases."""

from headrace.dagster import Asset, release_asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [release_asset(pipeline)]
