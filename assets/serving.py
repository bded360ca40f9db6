"""The online store, and what was served, audited."""

from headrace.dagster import Asset, online_asset, served_asset
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [online_asset(pipeline), served_asset(pipeline)]
