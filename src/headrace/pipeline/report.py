"""The state of everything, as plain JSON values: tables, releases, models."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from headrace.home import Home
from headrace.lake.status import table_status
from headrace.pipeline.declare import Pipeline


def overview(pipelines: Sequence[Pipeline], home: Home) -> dict[str, list[dict[str, Any]]]:
    """`{"tables": [...], "releases": [...], "models": [...]}` of these pipelines."""
    return {
        "tables": [table_status(home, table) for one in pipelines for table in one.tables],
        "releases": release_rows(home),
        "models": model_rows(home),
    }


def release_rows(home: Home) -> list[dict[str, Any]]:
    from headrace.datasets import list_releases

    return [asdict(one) for one in list_releases(home.store)]


def model_rows(home: Home) -> list[dict[str, Any]]:
    from headrace.models import list_models

    return [one.summary() for one in list_models(home)]
