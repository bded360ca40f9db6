"""Check that the build stages after the tables are up to date."""

import json
from dataclasses import asdict
from pathlib import Path

from headrace.core.clock import DAY, duration, now_us
from headrace.core.files import digest, write_json
from headrace.core.home import Home
from headrace.datasets import Store
from headrace.features.canonical import definition_hash
from headrace.models.registry import pointer
from headrace.monitoring.evidence.model import day_number
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.monitor_inputs import judged_at


def is_current(pipeline: Pipeline, home: Home) -> bool:
    """Return True if the last complete build used the current tables and declarations.

    The release and a champion must also exist.
    """
    marker = _marker(pipeline, home)
    if not marker.exists() or json.loads(marker.read_text()) != {"key": build_key(pipeline, home)}:
        return False
    released = _latest(pipeline, home) is not None
    return released and pointer(home, pipeline.model.name) is not None


def _latest(pipeline: Pipeline, home: Home) -> str | None:
    """Return the manifest id of the latest release.

    It is in the key because an erasure replaces the release, and then the model must be retrained.
    """
    store, name = Store.find(home.store), pipeline.dataset.name
    versions = store.versions(name)
    return store.manifest(*store.resolve(name)).id if versions else None


def mark_current(pipeline: Pipeline, home: Home) -> None:
    """Record that all stages, including the monitors, are up to date."""
    write_json(_marker(pipeline, home), {"key": build_key(pipeline, home)})


def build_key(pipeline: Pipeline, home: Home, *, latest: bool = True) -> str:
    """Return the digest of a build's inputs: published files, declarations, the latest release.

    With `latest=False` the release, which the build itself may replace, is not included.
    """
    dataset, monitor = pipeline.dataset, pipeline.monitor
    return digest(
        {
            "features": BuildContext(pipeline, home).content,
            "label": definition_hash(pipeline.label, pipeline.contracts),
            "dataset": [dataset.label_form(), dataset.split_form(), dataset.cutoff_us],
            "about": [dataset.purpose, dataset.description, dataset.parameters],
            "held to": [repr(sorted(dataset.privacy.items())), dataset.commercial]
            + [repr(rule) for rule in (dataset.leakage, dataset.fits, dataset.card)],
            "latest": _latest(pipeline, home) if latest else None,
            "model": asdict(pipeline.model),
            "monitor": [repr(monitor), monitor.policy().hash, _closed(pipeline)],
            "store": str(home.store),
        }
    )


def _closed(pipeline: Pipeline) -> int:
    """Return the number of the monitor's last closed window.

    It is in the key so that a window is evaluated even if a dead source delivers nothing new.
    """
    monitor = pipeline.monitor
    day = (judged_at(pipeline, now_us()) + duration(monitor.offset)) // DAY
    return (day - day_number(monitor.anchor)) // monitor.window_days


def _marker(pipeline: Pipeline, home: Home) -> Path:
    return home.root / "features" / pipeline.name / "built.json"
