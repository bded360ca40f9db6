"""Declared consumers of a table: views, features, spine, label and online store."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.features.spec import FeatureView, Lookup, RowTransform
from headrace.pipeline.definition import Pipeline


def readers(pipelines: Iterable[Pipeline], table: str) -> list[dict[str, Any]]:
    """Return the parts of each pipeline that read the table, as plain JSON values.

    There is one value for each dataset, and one for a pipeline without datasets.
    """
    return [
        _reading(part, table)
        for pipeline in pipelines
        if table in pipeline.contracts
        for part in pipeline.each_dataset() or [pipeline]
    ]


def _reading(pipeline: Pipeline, table: str) -> dict[str, Any]:
    views = [v for v in pipeline.views if not isinstance(v, RowTransform) and v.table == table]
    datasets = pipeline.datasets
    return {
        "pipeline": pipeline.name,
        "views": [view.name for view in views],
        "features": list(_features(pipeline, views)),
        "spine": any(pipeline.spine_of(dataset).table == table for dataset in datasets),
        "label": any(dataset.label.table == table for dataset in datasets),
        "dataset": ", ".join(dataset.name for dataset in datasets),
        "model": ", ".join(model.name for model in pipeline.models),
    }


def _features(pipeline: Pipeline, views: list[FeatureView | Lookup]) -> Iterator[str]:
    """Yield the features of these views, then those of the transforms that read them."""
    reached = {name for view in views for name in view.outputs}
    yield from (name for view in views for name in view.outputs)
    for view in pipeline.views:  # a transform comes after the views it reads
        if isinstance(view, RowTransform) and reached & set(view.inputs):
            reached |= set(view.outputs)
            yield from view.outputs


def stores(pipelines: Iterable[Pipeline], home: Home, table: str) -> list[Pipeline]:
    """Return the pipelines whose online store has rows of the table or cannot be read.

    A pipeline with several stores is returned as the pipelines of their datasets.
    """
    from headrace.pipeline.serving.services import online_parts

    return [
        part
        for pipeline in pipelines
        if table in pipeline.contracts
        for part in online_parts(pipeline)
        if _store_has_table(part, home, table)
    ]


def _store_has_table(pipeline: Pipeline, home: Home, table: str) -> bool:
    from headrace.pipeline.serving.services import online_store, store_exists
    from headrace.serving.online import layout_of, store_metadata

    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    if table not in layout.tables or not store_exists(pipeline, home):
        return False
    try:
        with closing(online_store(pipeline, home)) as store, store.reading() as reader:
            return bool(store_metadata.read_files(reader, table))
    except HeadraceError:
        return True
