"""Usage of features by releases and models, by the hash of their definition."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.datasets.store.store import Store
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.feature_catalog import feature_rows


def feature_catalogue(pipelines: Sequence[Pipeline], home: Home) -> list[dict[str, Any]]:
    """Return the `feature_rows` of all pipelines, with the releases and models that use them.

    `releases` and `models` list the refs that have the feature with its present definition.
    `outdated` lists the refs that have a feature of this name with another definition.
    """
    releases, models = list(_releases(home)), list(_models(home))
    return [
        {
            **row,
            "releases": [ref for ref, is_current in _users(row, releases) if is_current],
            "models": [ref for ref, is_current in _users(row, models) if is_current],
            "outdated": [
                ref for ref, is_current in _users(row, [*releases, *models]) if not is_current
            ],
        }
        for pipeline in pipelines
        for row in feature_rows(pipeline)
    ]


def _users(
    row: dict[str, Any], holders: Iterable[tuple[str, set[str], dict[str, str]]]
) -> Iterator[tuple[str, bool]]:
    for ref, features, definitions in holders:
        if row["feature"] in features:
            yield ref, definitions.get(row["view"]) == row["definition"]


def _releases(home: Home) -> Iterator[tuple[str, set[str], dict[str, str]]]:
    store = Store.find(home.store)
    for name in store.names():
        for version in store.versions(name):
            try:
                manifest = store.manifest(name, version)
            except StateError:
                continue  # `headrace dataset verify` reports the damage
            yield manifest.ref, set(manifest.features), dict(manifest.definitions)


def _models(home: Home) -> Iterator[tuple[str, set[str], dict[str, str]]]:
    from headrace.models import list_models

    for record in list_models(home):
        yield record.ref, {feature.name for feature in record.features}, dict(record.definitions)
