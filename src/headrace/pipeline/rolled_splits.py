"""Dataset splits that the last retraining has rolled forward."""

from contextlib import suppress
from typing import TYPE_CHECKING

from headrace.core.clock import parse_iso
from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.datasets.splits.rolling import Withheld, rolled
from headrace.monitoring.decisions.ledger import DecisionLedger, Step
from headrace.pipeline.definition import Pipeline

if TYPE_CHECKING:
    from headrace.datasets.spec import DatasetSpec
    from headrace.models import ModelRecord


def split_digest(dataset: "DatasetSpec") -> str:
    """Return the digest of a dataset's declared split rule and bounds."""
    return digest([dataset.split_form(), dataset.cutoff_us])


def with_rolled_splits(pipeline: Pipeline, home: Home) -> tuple[Pipeline, tuple[Withheld, ...]]:
    """Return the pipeline with the splits of its last retraining, and the spans that it excluded.

    Without this, a daily build would reset the splits to their declared bounds. If the declared
    bounds have changed since the retraining, they apply again. A changed length of the validation
    or test split applies from the next retraining on.
    """
    released = _released(pipeline, home)
    if not released or released[-1].detail["declared"] != split_digest(pipeline.dataset):
        return pipeline, ()
    last = released[-1].detail
    config = pipeline.retraining  # older records lack the lengths of the splits
    parts = (last.get("valid", config.valid), last.get("test", config.test))
    dataset = rolled(pipeline.dataset, parse_iso(last["as_of"]), *parts)
    spans = tuple(Withheld.from_json(span) for span in last["withheld"])
    return pipeline.with_dataset(dataset), spans


def retraining_champion(pipeline: Pipeline, home: Home, dataset: str) -> "ModelRecord | None":
    """Return the champion if a retraining, finished or not, made this release; else None."""
    from headrace.models import champion

    if any(step.detail["dataset"] == dataset for step in _released(pipeline, home)):
        return champion(home, pipeline.model.name)
    return None


def _released(pipeline: Pipeline, home: Home) -> list[Step]:
    """Return the releases of the retrainings that the pipeline's monitors triggered, in order."""
    ledger = DecisionLedger(home)
    steps = [step for monitor in pipeline.monitors for step in ledger.steps(monitor.name)]
    released = [step for step in steps if step.step == "released"]
    return sorted(released, key=lambda step: step.cursor)


def learned_until(home: Home, dataset: str, *, tuned: bool = True) -> int:
    """Return the time (us, UTC) up to which rows of this release are used to fit a model.

    If `tuned`, validation rows, which choose the number of rounds, are included.

    Raises:
        StateError: the release does not exist any more, or its splits are not by time.
    """
    from headrace.datasets.store.store import Store

    store = Store.find(home.store)
    name, _, version = dataset.partition("@")
    with suppress(KeyError):
        rule = store.manifest(name, version).split_rule
        time_bound = "valid_until_us" if tuned else "train_until_us"
        bound = rule[time_bound if rule["kind"] == "time" else "after_us"]
        if bound is not None:
            return int(bound)
    raise StateError(
        f"the time at which the training rows of {dataset} end is unknown", where=str(home.store)
    )
