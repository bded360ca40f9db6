"""Page of the objects in Dagster: assets, checks, jobs, schedules and sensors of a pipeline."""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from headrace.dagster import definitions
from headrace.dagster.automation import USUAL
from headrace.pipeline import load_pipeline
from tools.reference.markdown import code, escaped, table

ROOT = Path(__file__).parents[2]
PIPELINE = "pipelines.flights"
HEAD = """\
# Objects in Dagster

The code location of a pipeline contains these objects; the [factories](python/dagster.md) of
`headrace.dagster` create them. `headrace automation on` switches on the schedules and sensors that
the column *usual* marks; `headrace automation ls` shows which are on.
"""
CHECKS = {
    "gate_block": "Fails for a day with a batch that is not published. This check is blocking.",
    "gate_quarantine": "Fails for a day with a batch that has rows in quarantine.",
    "gate_warn": "Fails for a day with a batch that was published with a warning.",
    "monitor": "Fails while a window of the monitor has to be investigated.",
    "served_is_trained": "Fails if a served vector differs from the vector that training computes.",
}
# The second part of an asset's key, by the first.
NAMES = {
    "sources": "TABLE",
    "tables": "TABLE",
    "features": "VIEW",
    "datasets": "DATASET",
    "models": "MODEL",
    "monitoring": "PIPELINE",
    "serving": "PIPELINE",
}
MEANINGS = {
    "sources/TABLE": "Deliveries of a source; an external asset.",
    "tables/TABLE": "A published table; partitioned by day, unless it is delivered whole.",
    "features/VIEW": "A materialised feature view.",
    "datasets/DATASET": "The latest release of the dataset.",
    "models/MODEL": "A model trained on the latest release.",
}


def page() -> str:
    """Return the page, from the objects of the demonstration's pipeline."""
    sys.path.insert(0, str(ROOT))
    repository = definitions(load_pipeline(PIPELINE)).get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    schedules = [
        (code(one.name), _usual(one.name), code(one.cron_schedule), code(one.job_name), _text(one))
        for one in sorted(repository.schedule_defs, key=lambda each: each.name)
    ]
    sensors = [
        (
            code(one.name),
            _usual(one.name),
            f"{one.minimum_interval_seconds} s",
            ", ".join(code(target.job_name) for target in one.targets),
            _text(one),
        )
        for one in sorted(repository.sensor_defs, key=lambda each: each.name)
    ]
    checks = sorted({key.name for key in repository.asset_graph.asset_check_keys})
    return "\n\n".join(
        [
            HEAD.strip(),
            "## Assets",
            table(("key", "meaning"), sorted(_assets(repository))),
            "## Checks",
            "A day that passed has no evaluation.",
            table(("check", "meaning"), [(code(name), CHECKS[name]) for name in checks]),
            "## Jobs",
            "Fields in brackets may be left empty.",
            table(("job", "fields in the launchpad", "meaning"), [_job(job) for job in jobs]),
            "## Schedules",
            "Times are UTC.",
            table(("schedule", "usual", "cron", "job", "meaning"), schedules),
            "## Sensors",
            table(("sensor", "usual", "interval", "launches", "meaning"), sensors),
        ]
    )


def _text(named: dg.JobDefinition | dg.ScheduleDefinition | dg.SensorDefinition) -> str:
    return escaped(named.description or "")


def _usual(name: str) -> str:
    return "yes" if name in USUAL else ""


def _assets(repository: dg.RepositoryDefinition) -> set[tuple[str, str]]:
    rows = set()
    for key in repository.asset_graph.get_all_asset_keys():
        pattern = "/".join([key.path[0], NAMES[key.path[0]], *key.path[2:]])
        description = repository.asset_graph.get(key).description or ""
        rows.add((code(pattern), MEANINGS.get(pattern) or escaped(description)))
    return rows


def _job(job: dg.JobDefinition) -> tuple[str, str, str]:
    return code(job.name), ", ".join(_fields(job)), _text(job)


def _fields(job: dg.JobDefinition) -> Iterator[str]:
    for node in job.graph.node_defs:
        schema = getattr(node, "config_schema", None)
        fields = getattr(schema.config_type, "fields", None) if schema else None
        for name, field in (fields or {}).items():
            yield code(name) if field.is_required else f"[{code(name)}]"
