"""Check that the build stages after the tables are up to date."""

import json
from pathlib import Path
from typing import Any

from headrace.core.clock import DAY, duration, now_us
from headrace.core.files import digest, write_json
from headrace.core.home import Home
from headrace.datasets import Store
from headrace.datasets.spec import DatasetSpec
from headrace.features.canonical import definition_hash
from headrace.models.registry import pointer
from headrace.monitoring.evidence.model import day_number
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.monitor_inputs import judged_at


def is_current(pipeline: Pipeline, home: Home) -> bool:
    """Return True if the last complete build used the current tables and declarations.

    Each dataset must have a release, and each model a champion. Without a dataset, there is nothing
    to build.
    """
    if not pipeline.datasets:
        return True
    marker = _marker(pipeline, home)
    if not marker.exists() or json.loads(marker.read_text()) != {"key": build_key(pipeline, home)}:
        return False
    released = all(_latest(dataset, home) is not None for dataset in pipeline.datasets)
    return released and all(pointer(home, model.name) is not None for model in pipeline.models)


def _latest(dataset: DatasetSpec, home: Home) -> str | None:
    """Return the manifest id of the latest release.

    It is in the key because an erasure replaces the release, and then the model must be retrained.
    """
    store, name = Store.find(home.store), dataset.name
    versions = store.versions(name)
    return store.manifest(*store.resolve(name)).id if versions else None


def mark_current(pipeline: Pipeline, home: Home) -> None:
    """Record that all stages, including the monitors, are up to date."""
    write_json(_marker(pipeline, home), {"key": build_key(pipeline, home)})


def build_key(pipeline: Pipeline, home: Home, *, latest: bool = True) -> str:
    """Return the digest of a build's inputs: published files, declarations, the latest release.

    With `latest=False` the release, which the build itself may replace, is not included.
    """
    context = BuildContext(pipeline, home)
    forms = [_dataset_form(part, context, latest=latest) for part in pipeline.each_dataset()]
    forms = [{**form, "store": str(home.store)} for form in forms]
    return digest(forms[0] if len(forms) == 1 else {"datasets": forms})


def _dataset_form(pipeline: Pipeline, context: BuildContext, *, latest: bool) -> dict[str, Any]:
    """Return the inputs of one dataset, its models and their monitors; a list if there are several.

    A kind without a part is omitted.
    """
    dataset, home = pipeline.dataset, context.home
    kinds: dict[str, list[Any]] = {
        "model": [model.form() for model in pipeline.models],
        "monitor": [_monitor_form(part) for part in pipeline.each_monitor()],
    }
    return {
        "features": context.of(pipeline).content,
        "label": definition_hash(pipeline.label, pipeline.contracts),
        "dataset": [dataset.label_form(), dataset.split_form(), dataset.cutoff_us],
        "about": [dataset.purpose, dataset.description, dataset.parameters],
        "held to": [repr(sorted(dataset.privacy.items())), dataset.commercial]
        + [repr(rule) for rule in (dataset.leakage, dataset.fits, dataset.card)],
        "latest": _latest(dataset, home) if latest else None,
        **{kind: forms[0] if len(forms) == 1 else forms for kind, forms in kinds.items() if forms},
    }


def _monitor_form(pipeline: Pipeline) -> list[Any]:
    monitor = pipeline.monitor
    form = [repr(monitor), monitor.policy().hash, _closed(pipeline)]
    return [*form, monitor.model] if monitor.model else form


def _closed(pipeline: Pipeline) -> int:
    """Return the number of the monitor's last closed window.

    It is in the key so that a window is evaluated even if a dead source delivers nothing new.
    """
    monitor = pipeline.monitor
    day = (judged_at(pipeline, now_us()) + duration(monitor.offset)) // DAY
    return (day - day_number(monitor.anchor)) // monitor.window_days


def _marker(pipeline: Pipeline, home: Home) -> Path:
    return home.root / "features" / pipeline.name / "built.json"
