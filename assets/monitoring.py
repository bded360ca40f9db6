"""Profiles, drift, and the decision they lead to."""

from headrace.dagster import Asset, monitor_assets
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    return [monitor_assets(pipeline)]
