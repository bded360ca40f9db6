"""Models that were trained on recalled or erased rows."""

from headrace.core.home import Home
from headrace.datasets.erasure.tombstone import tombstones
from headrace.datasets.store.store import Store
from headrace.datasets.taint import (
    OPENED,
    Recall,
    append_opening,
    opening,
    refuse_tainted,
    taints_of,
)
from headrace.models.external import ExternalModel
from headrace.models.record import ModelRecord, model_folder


def model_taints(home: Home, record: ModelRecord | ExternalModel) -> tuple[Recall, ...]:
    """Return the active recalls of batches that are in the model's training release."""
    return taints_of(Store.find(home.store), record.dataset)


def allow_model(home: Home, record: ModelRecord, reason: str | None) -> None:
    """Allow a clean model; allow a tainted one only with a reason, which is recorded.

    Raises:
        TaintedError: the model was trained on a recalled batch, and no reason was given.
    """
    marks = model_taints(home, record)
    if marks and reason is not None:
        line = opening(marks, f"{record.ref}: {reason}")
        append_opening(model_folder(home, record.name) / OPENED, line)
    else:
        refuse_tainted(
            f"{record.ref}, trained on {record.dataset},",
            marks,
            where=str(record.path),
            fix="train on a clean release: headrace run; or give a reason, which is recorded",
        )


def trained_on_erased(home: Home, dataset: str) -> list[str]:
    """Return a sentence if the release `dataset` was erased or retired; otherwise an empty list."""
    name, _, version = dataset.partition("@")
    return [
        f"rows that are gone: {dataset} was {stone}"
        + (f"; train on {stone.successor}" if stone.successor else "")
        for stone in tombstones(Store.find(home.store), name)
        if stone.version == version
    ]
