"""Column lineage of a pipeline's releases, stored as an object in the dataset store."""

from collections.abc import Mapping
from pathlib import Path

from headrace.core.files import digest
from headrace.datasets.column_lineage import Declared, column_lineage
from headrace.datasets.store.store import Store
from headrace.pipeline.definition import Pipeline


def lineage_object(
    pipeline: Pipeline,
    privacy: Mapping[str, Mapping[str, str]],
    store: Path | str,
    *,
    keep: bool = True,
) -> str:
    """Return the digest of the lineage document, and store the document unless `keep` is False."""
    document = column_lineage(declared_by(pipeline, privacy))
    return Store.find(store).put_json(document) if keep else digest(document)


def declared_by(pipeline: Pipeline, privacy: Mapping[str, Mapping[str, str]]) -> Declared:
    return Declared(pipeline.spine, pipeline.views, pipeline.label, pipeline.contracts, privacy)
