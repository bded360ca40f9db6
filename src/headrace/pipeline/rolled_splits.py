"""Splits of a pipeline's dataset where the last retraining rolled them to."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.core.clock import parse_iso
from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.datasets.splits.rolling import Withheld, rolled
from headrace.monitoring.decisions.ledger import DecisionLedger
from headrace.pipeline.definition import Pipeline

if TYPE_CHECKING:
    from headrace.datasets.spec import DatasetSpec
    from headrace.models import ModelRecord


def declared(dataset: "DatasetSpec") -> str:
    return digest([dataset.split_form(), dataset.cutoff_us])


def as_it_stands(pipeline: Pipeline, home: Home) -> tuple[Pipeline, tuple[Withheld, ...]]:
    """The pipeline with its splits where the last retraining rolled them to, and what it withheld.

    A daily build would else take them back to where they are declared. Bounds that were declared
    anew since count again; how long the next retraining's parts are moves nothing until then.
    """
    released = [
        step for step in DecisionLedger(home).steps(pipeline.monitor.name)
        if step.step == "released"
    ]  # fmt: skip
    if not released or released[-1].detail["declared"] != declared(pipeline.dataset):
        return pipeline, ()
    last = released[-1].detail
    plan = pipeline.retraining  # older records do not say how long the parts were
    parts = (last.get("valid", plan.valid), last.get("test", plan.test))
    dataset = rolled(pipeline.dataset, parse_iso(last["as_of"]), *parts)
    spans = tuple(Withheld.from_json(one) for one in last["withheld"])
    return replace(pipeline, dataset=dataset), spans


def retrained(pipeline: Pipeline, home: Home, dataset: str) -> "ModelRecord | None":
    """The champion, if this release was made by a retraining that has ended or is at work."""
    from headrace.models import champion

    steps = DecisionLedger(home).steps(pipeline.monitor.name)
    if any(step.step == "released" and step.detail["dataset"] == dataset for step in steps):
        return champion(home, pipeline.model.name)
    return None


def learned_until(home: Home, dataset: str, *, tuned: bool = True) -> int:
    """Up to which moment (us) rows of this release chose a model, or with `tuned` off taught it.

    Raises:
        StateError: the release is gone, or its splits have no bound in time.
    """
    from headrace.datasets.store.store import Store

    store = Store.find(home.store)
    name, _, version = dataset.partition("@")
    with suppress(KeyError):
        rule = store.manifest(name, version).split_rule
        timely = "valid_until_us" if tuned else "train_until_us"
        bound = rule[timely if rule["kind"] == "time" else "after_us"]
        if bound is not None:
            return int(bound)
    raise StateError(f"up to when {dataset} teaches a model is not known", where=str(home.store))
