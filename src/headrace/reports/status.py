"""Status of all tables, releases and models, as plain JSON values."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.core.clock import iso
from headrace.core.errors import SourceError
from headrace.core.home import Home
from headrace.lake.ledger.conservation import table_status
from headrace.lake.overrides.mute_listing import mute_rows
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline
from headrace.reports.event_limits import crowded_windows
from headrace.sources.files import DropFolder
from headrace.sources.unmatched_files import FolderReader, Unmatched, unmatched_files

if TYPE_CHECKING:
    from headrace.models.external import ExternalModel


def overview(pipelines: Sequence[Pipeline], home: Home) -> dict[str, list[dict[str, Any]]]:
    """Return `{"tables", "mutes", "crowded", "unmatched", "releases", "models"}`, each a list."""
    names = [table.name for pipeline in pipelines for table in pipeline.tables]
    return {
        "tables": [
            table_status(home, table) for pipeline in pipelines for table in pipeline.tables
        ],
        "mutes": mute_rows(home, names),
        "crowded": crowded_windows(pipelines, home),
        "unmatched": unmatched_rows(pipelines),
        "releases": release_rows(home),
        "models": model_rows(home),
    }


def unmatched_rows(pipelines: Sequence[Pipeline]) -> list[dict[str, Any]]:
    """Return the files in the drop folders of these pipelines that no source reads.

    A folder that cannot be listed is skipped; the next run reports the error.
    """
    readers = [
        FolderReader(table.name, table.source, partial(_expects, pipeline, table))
        for pipeline in pipelines
        for table in pipeline.tables
        if isinstance(table.source, DropFolder)
    ]
    folders: dict[str, list[FolderReader]] = {}
    for reader in readers:
        folders.setdefault(str(reader.source.folder).rstrip("/"), []).append(reader)
    rows: list[dict[str, Any]] = []
    for folder, sharing in sorted(folders.items()):
        with suppress(SourceError):
            rows += [_unmatched_row(file) for file in unmatched_files(folder, sharing)]
    return rows


def _unmatched_row(file: Unmatched) -> dict[str, Any]:
    return {**asdict(file), "modified": iso(file.modified)}


def _expects(pipeline: Pipeline, table: Table, slot: str) -> bool:
    if table.partitioned and table.contract.coverage is None:
        return pipeline.first_slot <= slot <= pipeline.last_slot
    return table.expects(slot)


def release_rows(home: Home) -> list[dict[str, Any]]:
    from headrace.datasets import list_releases

    return [asdict(release) for release in list_releases(home.store)]


def model_rows(home: Home) -> list[dict[str, Any]]:
    from headrace.models import list_models, model_taints
    from headrace.models.external import list_external
    from headrace.models.registry import pointer
    from headrace.models.taint import trained_on_erased as erased

    rows: list[dict[str, Any]] = []
    for record in list_models(home):
        standing = pointer(home, record.name)
        metrics = record.metrics
        rows.append(
            {
                "task": record.task.name,
                "loss": record.task.loss,
                "reported": list(record.task.reported),
                "metrics": metrics.get("model"),
                "baseline": metrics.get("baseline"),
                "name": record.name,
                "ref": record.ref,
                "bundle_id": record.bundle_id,
                "dataset": record.dataset,
                "content_hash": record.content_hash,
                "champion": standing is not None and standing.bundle_id == record.bundle_id,
                "trained_at": record.trained_at,
                "test": {
                    forecast: metrics.get(forecast)
                    for forecast in ("model", "baseline", "constant", *_last_value(metrics))
                },
                "against_baseline": metrics.get("against_baseline"),
                "tainted": [*map(str, model_taints(home, record)), *erased(home, record.dataset)],
                "elsewhere": None,
            }
        )
    return rows + [_external_row(home, model) for model in list_external(home)]


def _last_value(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    return ("last_value",) if "last_value" in metrics else ()


def _external_row(home: Home, record: "ExternalModel") -> dict[str, Any]:
    from headrace.models import model_taints
    from headrace.models.taint import trained_on_erased as erased

    return {
        "task": None,
        "loss": None,
        "reported": [],
        "metrics": None,
        "baseline": None,
        "name": record.name,
        "ref": record.ref,
        "bundle_id": record.bundle_id,
        "dataset": record.dataset,
        "content_hash": record.content_hash,
        "champion": False,
        "trained_at": record.registered_at,
        "test": None,
        "against_baseline": None,
        "tainted": [*map(str, model_taints(home, record)), *erased(home, record.dataset)],
        "elsewhere": record.framework or "registered",
    }
