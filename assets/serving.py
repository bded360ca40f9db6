"""What was served, audited."""

from headrace.dagster import Asset, served_asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [served_asset(pipeline)]
