"""OpenLineage events of a pipeline, derived from the stored state.

Each of these is a run: a commit of a table (`publish`), with its deliveries and their verdicts; a
blocked delivery (a failed run); a release; a view that a release used; and a model training.
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
    LineageRun,
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
_BLOCKED = ("BLOCK", "ERROR")


def record(pipeline: Pipeline, home: Home) -> int:
    """Append the events that are not in the file yet; return the number of appended events.

    Raises:
        StateError: the stored state cannot be read, or the file cannot be written.
    """
    return append(home, runs_of(pipeline, home))


def record_quietly(pipeline: Pipeline, home: Home) -> str:
    """Record events at the end of a run; an error is returned as text instead of raised."""
    try:
        record(pipeline, home)
    except Exception as error:  # noqa: BLE001 - the run itself has succeeded
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        log.warning("lineage: %s", reason)
        return f"lineage events were not written: {reason}"
    return ""


def runs_of(pipeline: Pipeline, home: Home) -> Iterator[LineageRun]:
    """Yield the runs of all publications, releases and trainings, in this order."""
    for table in pipeline.tables:
        yield from publishes(pipeline, table, home)
    store = Store.find(home.store)
    for part in pipeline.each_dataset():
        for version in store.versions(part.dataset.name):
            manifest = store.manifest(part.dataset.name, version)
            if manifest.pipeline in {"", pipeline.name}:
                yield from release_runs(part, manifest, store)
    names = {dataset.name for dataset in pipeline.datasets}
    for model in _models(home):
        if model.dataset.partition("@")[0] in names:
            yield training(model, store)


def runs_of_release(pipelines: Sequence[Pipeline], ref: str, home: Home) -> list[LineageRun]:
    """Return the runs of one release, of its views, and of the models trained on it.

    Raises:
        StateError: there is no such release.
        DeclarationError: none of the pipelines made the release.
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


def publishes(pipeline: Pipeline, table: Table, home: Home) -> Iterator[LineageRun]:
    """Yield a run for each commit of a table, and for each delivery that the gate blocked."""
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name)
        verdicts = list(ledger.judgements(table.name).values())
    commits: dict[int, list[JudgementRow]] = {}
    for row in verdicts:
        if row.snapshot_id is not None and row.published_at is not None:
            commits.setdefault(row.snapshot_id, []).append(row)
        elif row.verdict in _BLOCKED and row.batch_id in batches:
            yield _blocked_run(pipeline, table, batches[row.batch_id], row)
    for snapshot, rows in commits.items():
        yield _commit(pipeline, table, snapshot, rows, batches)


def _blocked_run(pipeline: Pipeline, table: Table, batch: Batch, row: JudgementRow) -> LineageRun:
    return LineageRun(
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
) -> LineageRun:
    moments = [row.published_at for row in rows if row.published_at is not None]
    recorded = [row for row in rows if row.batch_id in batches]
    inputs = [_delivery(table, batches[row.batch_id], row) for row in recorded]
    # Some files may have been committed earlier for the first time; the run ends with the latest
    # commit.
    return LineageRun(
        job=f"{pipeline.name}.publish.{table.name}",
        kind="PUBLISH",
        identity=(str(snapshot),),
        started=min([row.judged_at for row in rows] + moments),
        ended=max(moments),
        inputs=inputs,
        outputs=[
            dataset(
                table_name(table.name),
                _of_table(table.contract)
                | facet("version", datasetVersion=str(snapshot))
                | _from_delivery(table, [delivery["name"] for delivery in inputs]),
                output_facets=facet("outputStatistics", rowCount=sum(row.passing for row in rows)),
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
        input_facets=verdict_facet(row.verdict, table.suite.name, _summary(table, row)),
    )


def _summary(table: Table, row: JudgementRow) -> str:
    """Return the gate's summary in a form that may be sent to other systems.

    A summary may contain example values, so a table with personal or sensitive columns gets row
    counts only.
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
    """Return the column lineage from the first delivery, since all have the same columns."""
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
        for name, inputs in (
            plain | {n: derivation["inputs"] for n, derivation in derived.items()}
        ).items()
    }
    return facet("columnLineage", fields=fields)


# Releases


def release_runs(pipeline: Pipeline, manifest: Manifest, store: Store) -> Iterator[LineageRun]:
    """Yield a run for each view that a release used, and one for the release itself."""
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
            facet("version", datasetVersion=str(input_table.snapshot_id))
            | (_owned(input_table.owner, "OWNER") if input_table.owner else {}),
        )
        for table, input_table in manifest.inputs.items()
    }
    features = {row["feature"]: row for row in feature_rows(pipeline)}
    revision = manifest.code_revision
    outputs = []
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
        outputs.append(output)
        yield LineageRun(
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
    yield LineageRun(
        job=f"{pipeline.name}.release.{manifest.name}",
        kind="RELEASE",
        identity=(manifest.id,),
        started=at,
        ended=at,
        inputs=[*(inputs[table] for table in read if table in inputs), *map(_view_input, outputs)],
        outputs=[_released(manifest, lineage, names, features)],
        revision=revision,
    )


def _view_input(output: Mapping[str, Any]) -> dict[str, Any]:
    return dataset(output["name"], {"version": output["facets"]["version"]})


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
    documentation = (
        facet("documentation", description=manifest.description) if manifest.description else {}
    )
    return dataset(
        release_name(manifest.name),
        schema(fields)
        | facet("version", datasetVersion=manifest.version)
        | column_facet(lineage["columns"], names, only=[c.name for c in manifest.columns])
        | documentation,
        output_facets=facet(
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


def training(model: ModelRecord | ExternalModel, store: Store) -> LineageRun:
    """Return the run that trained a model, or that registered an external model."""
    name, _, version = model.dataset.partition("@")
    external = isinstance(model, ExternalModel)
    made_at = model.registered_at if isinstance(model, ExternalModel) else model.trained_at
    at = parse_iso(made_at)
    is_stored = not external and version in store.versions(name)
    return LineageRun(
        job=f"{'register' if external else 'train'}.{model.name}",
        kind="REGISTER" if external else "TRAIN",
        identity=(model.bundle_id,),
        started=at,
        ended=at,
        inputs=[dataset(release_name(name), facet("version", datasetVersion=version))],
        outputs=[dataset(f"models/{model.name}", facet("version", datasetVersion=model.bundle_id))],
        revision=store.manifest(name, version).code_revision if is_stored else "",
    )
