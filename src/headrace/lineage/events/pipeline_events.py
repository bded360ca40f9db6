"""Lineage events of what a pipeline has done, made from what is stored: never in a run's way.

A run of `publish` is a commit of a table, with the deliveries that came in with it and what the
gate said of each; a blocked delivery is a run that failed. A release is a run, and so is each view
that it took; a trained model is one.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.contracts import Contract
from headrace.core.clock import parse_iso
from headrace.core.home import Home
from headrace.datasets.column_lineage import column_lineage, table_lineage
from headrace.datasets.governance.privacy import needs_treatment
from headrace.datasets.governance.privacy_classes import table_classes
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.features.spec import RowTransform
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.table import Table
from headrace.lineage.events.event_log import append
from headrace.lineage.events.openlineage import (
    Run,
    column_facet,
    dataset,
    facet,
    namespace,
    schema,
    verdict_facet,
)
from headrace.lineage.reproducibility import as_released
from headrace.models.external import ExternalModel, list_external
from headrace.models.record import ModelRecord, list_models
from headrace.pipeline.column_lineage import declared_by
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.feature_catalog import feature_rows

log = logging.getLogger(__name__)
_HELD_BACK = ("BLOCK", "ERROR")


def record(pipeline: Pipeline, home: Home) -> int:
    """Append the events of all that is not on file yet; how many those were.

    Raises:
        StateError: what is stored cannot be read, or the file cannot be written.
    """
    return append(home, runs_of(pipeline, home))


def record_quietly(pipeline: Pipeline, home: Home) -> str:
    """The same for the end of a run, which it never fails: what went wrong, or ""."""
    try:
        record(pipeline, home)
    except Exception as error:  # noqa: BLE001 - the work is done, and must count as done
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        log.warning("lineage: %s", told)
        return f"lineage events were not written: {told}"
    return ""


def runs_of(pipeline: Pipeline, home: Home) -> Iterator[Run]:
    """Everything that was published, released and trained, oldest kind first."""
    for table in pipeline.tables:
        yield from publishes(pipeline, table, home)
    store = Store.find(home.store)
    for version in store.versions(pipeline.dataset.name):
        manifest = store.manifest(pipeline.dataset.name, version)
        if manifest.pipeline in {"", pipeline.name}:
            yield from release_runs(pipeline, manifest, store)
    for model in _models(home):
        if model.dataset.partition("@")[0] == pipeline.dataset.name:
            yield training(model, store)


def runs_of_release(pipelines: Sequence[Pipeline], ref: str, home: Home) -> list[Run]:
    """Of one release: its views, itself, and the models trained on it.

    Raises:
        StateError: there is no such release.
        DeclarationError: none of the pipelines made it.
    """
    store = Store.find(home.store)
    manifest = store.manifest(*store.resolve(ref))
    made_by = as_released(pipelines, manifest)
    models = [training(model, store) for model in _models(home) if model.dataset == manifest.ref]
    return [*release_runs(made_by, manifest, store), *models]


def table_name(table: str) -> str:
    return f"tables/{table}"


def view_name(pipeline: Pipeline, view: str) -> str:
    return f"views/{pipeline.name}/{view}"


def release_name(name: str) -> str:
    return f"releases/{name}"


# Tables


def publishes(pipeline: Pipeline, table: Table, home: Home) -> Iterator[Run]:
    """Each commit of a table, and each delivery that the gate held back."""
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name)
        judged = list(ledger.judgements(table.name).values())
    commits: dict[int, list[JudgementRow]] = {}
    for row in judged:
        if row.snapshot_id is not None and row.published_at is not None:
            commits.setdefault(row.snapshot_id, []).append(row)
        elif row.verdict in _HELD_BACK and row.batch_id in batches:
            yield _held_back(pipeline, table, batches[row.batch_id], row)
    for snapshot, rows in commits.items():
        yield _commit(pipeline, table, snapshot, rows, batches)


def _held_back(pipeline: Pipeline, table: Table, batch: Batch, row: JudgementRow) -> Run:
    return Run(
        job=f"{pipeline.name}.publish.{table.name}",
        kind="PUBLISH",
        identity=(batch.batch_id, row.rule_hash),
        started=batch.received_at,
        ended=row.judged_at,
        inputs=[_delivery(table, batch, row)],
        error=_summary(table, row) or row.verdict,
    )


def _commit(
    pipeline: Pipeline,
    table: Table,
    snapshot: int,
    rows: list[JudgementRow],
    batches: Mapping[str, Batch],
) -> Run:
    moments = [row.published_at for row in rows if row.published_at is not None]
    known = [row for row in rows if row.batch_id in batches]
    given = [_delivery(table, batches[row.batch_id], row) for row in known]
    # A file may keep an earlier first commit: the run ended with the latest.
    return Run(
        job=f"{pipeline.name}.publish.{table.name}",
        kind="PUBLISH",
        identity=(str(snapshot),),
        started=min([row.judged_at for row in rows] + moments),
        ended=max(moments),
        inputs=given,
        outputs=[
            dataset(
                table_name(table.name),
                _of_table(table.contract)
                | facet("version", datasetVersion=str(snapshot))
                | _from_delivery(table, [one["name"] for one in given]),
                made=facet("outputStatistics", rowCount=sum(row.passing for row in rows)),
            )
        ],
    )


def _delivery(table: Table, batch: Batch, row: JudgementRow) -> dict[str, Any]:
    fields = [(f.name, f.type, f.description) for f in table.contract.delivered]
    return dataset(
        f"deliveries/{batch.source}/{batch.slot}/{batch.batch_id[:16]}",
        schema(fields)
        | facet("version", datasetVersion=batch.batch_id)
        | _owned(batch.producer, "PRODUCER")
        | facet("documentation", description=batch.origin),
        given=verdict_facet(row.verdict, table.suite.name, _summary(table, row)),
    )


def _summary(table: Table, row: JudgementRow) -> str:
    """What the gate said, as far as events may: they go to other systems.

    Its words may give a value as an example, so that a table with personal or sensitive columns is
    told of in numbers.
    """
    if any(map(needs_treatment, table_classes(table.contract).values())):
        return f"{row.verdict}: {row.passing} of {row.delivered} rows passed"
    return row.summary


def _owned(name: str, role: str) -> dict[str, Any]:
    return facet("ownership", owners=[{"name": name, "type": role}])


def _of_table(contract: Contract) -> dict[str, Any]:
    fields = [(f.name, str(f.arrow_type), f.description) for f in contract.fields]
    fields += [(n, "timestamp[us, tz=UTC]", "") for n in ("event_time", "known_at")]
    return (
        schema(fields)
        | _owned(contract.owner, "OWNER")
        | facet("documentation", description=contract.description)
    )


def _from_delivery(table: Table, deliveries: list[str]) -> dict[str, Any]:
    """Of one delivery; of many the same columns, so the first stands for them."""
    if not deliveries:
        return {}
    contract = table.contract
    derived = table_lineage(contract)
    plain = {f.name: [f.name] for f in contract.delivered if not f.hidden}
    fields = {
        name: {
            "inputFields": [
                {
                    "namespace": namespace(),
                    "name": deliveries[0],
                    "field": input_,
                    "transformations": [
                        {
                            "type": "DIRECT",
                            "subtype": "TRANSFORMATION" if name in derived else "IDENTITY",
                            "description": derived.get(name, {}).get("rule", ""),
                            "masking": False,
                        }
                    ],
                }
                for input_ in inputs
            ]
        }
        for name, inputs in (plain | {n: one["inputs"] for n, one in derived.items()}).items()
    }
    return facet("columnLineage", fields=fields)


# Releases


def release_runs(pipeline: Pipeline, manifest: Manifest, store: Store) -> Iterator[Run]:
    """A run for each view that a release took, and one for the release itself."""
    at = parse_iso(str(store.created(manifest.name, manifest.version)["created_at"]))
    lineage = (
        store.get_json(manifest.lineage)
        if manifest.lineage
        else column_lineage(declared_by(pipeline, manifest.privacy))
    )
    names = {table: table_name(table) for table in lineage["tables"]}
    inputs = {
        table: dataset(
            table_name(table),
            facet("version", datasetVersion=str(given.snapshot_id))
            | (_owned(given.owner, "OWNER") if given.owner else {}),
        )
        for table, given in manifest.inputs.items()
    }
    features = {row["feature"]: row for row in feature_rows(pipeline)}
    revision = manifest.code_revision
    made = []
    for view in pipeline.views:
        if isinstance(view, RowTransform) or view.name not in manifest.definitions:
            continue
        fields = [(n, features[n]["type"], features[n]["what"]) for n in view.outputs]
        tables = [t for t in dict.fromkeys((view.table, pipeline.spine.table)) if t in inputs]
        output = dataset(
            view_name(pipeline, view.name),
            schema(fields)
            | facet("version", datasetVersion=manifest.definitions[view.name])
            | column_facet(lineage["columns"], names, only=view.outputs),
        )
        made.append(output)
        yield Run(
            job=f"{pipeline.name}.view.{view.name}",
            kind="VIEW",
            identity=(manifest.id, view.name),
            started=at,
            ended=at,
            inputs=[inputs[table] for table in tables],
            outputs=[output],
            revision=revision,
        )
    read = dict.fromkeys((pipeline.spine.table, pipeline.label.table))
    yield Run(
        job=f"{pipeline.name}.release.{manifest.name}",
        kind="RELEASE",
        identity=(manifest.id,),
        started=at,
        ended=at,
        inputs=[*(inputs[table] for table in read if table in inputs), *map(_named, made)],
        outputs=[_released(manifest, lineage, names, features)],
        revision=revision,
    )


def _named(made: Mapping[str, Any]) -> dict[str, Any]:
    return dataset(made["name"], {"version": made["facets"]["version"]})


def _released(
    manifest: Manifest,
    lineage: Mapping[str, Any],
    names: Mapping[str, str],
    features: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    fields = [
        (column.name, column.type, features.get(column.name, {}).get("what", column.role))
        for column in manifest.columns
    ]
    parts = [part for split in manifest.splits.values() for part in split.parts]
    told = facet("documentation", description=manifest.description) if manifest.description else {}
    return dataset(
        release_name(manifest.name),
        schema(fields)
        | facet("version", datasetVersion=manifest.version)
        | column_facet(lineage["columns"], names, only=[c.name for c in manifest.columns])
        | told,
        made=facet(
            "outputStatistics",
            rowCount=manifest.rows,
            size=sum(part.bytes for part in parts),
            fileCount=len(parts),
        ),
    )


# Models


def _models(home: Home) -> Iterator[ModelRecord | ExternalModel]:
    yield from list_models(home)
    yield from list_external(home)


def training(model: ModelRecord | ExternalModel, store: Store) -> Run:
    """The run that trained a model, or took in one that was trained elsewhere."""
    name, _, version = model.dataset.partition("@")
    external = isinstance(model, ExternalModel)
    made_at = model.registered_at if isinstance(model, ExternalModel) else model.trained_at
    at = parse_iso(made_at)
    known = not external and version in store.versions(name)
    return Run(
        job=f"{'register' if external else 'train'}.{model.name}",
        kind="REGISTER" if external else "TRAIN",
        identity=(model.bundle_id,),
        started=at,
        ended=at,
        inputs=[dataset(release_name(name), facet("version", datasetVersion=version))],
        outputs=[dataset(f"models/{model.name}", facet("version", datasetVersion=model.bundle_id))],
        revision=store.manifest(name, version).code_revision if known else "",
    )
