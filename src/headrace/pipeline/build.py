"""Build stages after the tables: views, dataset release, model. Each stage can be run again.

A caller that runs several stages passes the same build context to all of them, so that each table
is read once. A stage that gets no context creates its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.home import Home
from headrace.core.progress import report
from headrace.features.canonical import definition_hash
from headrace.features.frames.training_frame import apply_transforms
from headrace.features.labels import attach_label
from headrace.features.spec import FeatureView, Lookup, RowTransform
from headrace.lake.ledger.batch_listing import slot_rows
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.pinned_actions import overrides_in
from headrace.pipeline.build_context import BuildContext, current_context
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.pins import hold, settle
from headrace.pipeline.rolled_splits import retraining_champion, with_rolled_splits

if TYPE_CHECKING:
    from headrace.datasets.manifest import InputTable, Manifest
    from headrace.datasets.splits.rolling import Withheld


@dataclass(frozen=True)
class Built:
    """Outcome of a stage.

    `metadata` are values to show (`{"md": text}` is Markdown); `changed` is False if the stage had
    nothing to do.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = True


def build_view(
    pipeline: Pipeline,
    view: FeatureView | Lookup,
    home: Home,
    context: BuildContext | None = None,
) -> Built:
    """Update one materialised view; only rows that new data can affect are computed.

    The view is computed for the rows of each spine whose datasets read it.
    """
    shared = current_context(pipeline, home, context)
    by_spine = {
        part.rows_scope: part for part in reversed(pipeline.each_dataset()) if view in part.views
    }
    contexts = [current_context(part, home, shared) for part in by_spine.values()]
    views = [part_context.view(view) for part_context in contexts]
    shared.built.add(view.name)
    total = sum(not isinstance(stored, RowTransform) for stored in pipeline.views)
    report("features", len(shared.built), total, view.name)
    computed = sum(materialised.computed for materialised in views)
    return Built(
        {
            "rows": sum(materialised.table.num_rows for materialised in views),
            "rows computed now": computed,
            "features": len(view.outputs),
            "definition hash": definition_hash(view, pipeline.contracts),
            "nulls": {"md": "\n\n".join(_null_table(materialised.table) for materialised in views)},
        },
        changed=computed > 0,
    )


def feature_frame(context: BuildContext) -> pa.Table:
    """Return the spine with all features: one row per prediction, ordered by (t, primary key)."""
    frame = context.spine
    for view in context.pipeline.views:
        if not isinstance(view, RowTransform):
            columns = context.view(view).table
            for name in columns.column_names:
                frame = frame.append_column(name, columns[name])
    return apply_transforms(frame, context.pipeline.views)


def labelled_frame(context: BuildContext) -> pa.Table:
    """Return the feature frame with labels; each row's label is read as of the cut of its split."""
    from headrace.datasets import label_cuts

    pipeline, frame = context.pipeline, feature_frame(context)
    cuts = label_cuts(pipeline.dataset, frame["t"].to_numpy())
    return attach_label(
        frame, pipeline.label, context.history, pipeline.contracts, cuts, pipeline.mode
    )


def build_release(pipeline: Pipeline, home: Home, context: BuildContext | None = None) -> Built:
    """Release the dataset; if nothing has changed, no new release is made."""
    from headrace.datasets import list_releases
    from headrace.pipeline.release_metadata import release_report

    before = {release.ref for release in list_releases(home.store)}
    manifest = pinned_release(pipeline, home, context)
    return Built(release_report(manifest), changed=manifest.ref not in before)


def pinned_release(
    pipeline: Pipeline,
    home: Home,
    context: BuildContext | None = None,
    *,
    dry_run: bool = False,
) -> "Manifest":
    """Release the dataset from the published tables and pin their snapshots.

    The splits are those of the last retraining, if there was one. A dry run writes nothing and
    returns the manifest that the release would have.
    """
    rolled, withheld = with_rolled_splits(pipeline, home)
    return pinned(rolled, home, withheld, context, dry_run=dry_run)


def pinned(
    pipeline: Pipeline,
    home: Home,
    withheld: Sequence["Withheld"] = (),
    shared: BuildContext | None = None,
    *,
    dry_run: bool = False,
) -> "Manifest":
    """Release the dataset with the splits that `pipeline` declares, and pin its snapshots.

    Rows in the `withheld` time spans are excluded.
    """
    shared = current_context(pipeline, home, shared)
    context = shared.with_dataset(pipeline.dataset)
    report("dataset", 0, 1, pipeline.dataset.name)
    inputs = _inputs(context)
    snapshots = {name: table.snapshot_id for name, table in inputs.items()}
    snapshot_holds = {} if dry_run else hold(context.lake, snapshots)
    manifest = release_from(context, home.store, inputs, withheld, dry_run=dry_run)
    shared.clear()  # later stages read the release, not the tables
    if not dry_run:
        # Pin an existing release too: an earlier build may have crashed before pinning it.
        settle(context.lake, snapshot_holds, manifest)
    report("dataset", 1, 1, manifest.ref)
    return manifest


def release_from(
    context: BuildContext,
    store: Path | str,
    inputs: Mapping[str, "InputTable"],
    withheld: Sequence["Withheld"] = (),
    *,
    dry_run: bool = False,
) -> "Manifest":
    """Release the dataset of a context, from current or pinned snapshots.

    A rebuild calls this function too, so everything that affects the content must be in it.
    """
    from headrace.datasets import release
    from headrace.datasets.governance.apply_privacy import kept_until, treated
    from headrace.datasets.governance.privacy_classes import frame_classes
    from headrace.pipeline.column_lineage import lineage_object
    from headrace.pipeline.release_metadata import code_revision

    pipeline, contracts = context.pipeline, context.pipeline.contracts
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, contracts)
    frame, privacy = treated(pipeline.dataset, labelled_frame(context), classes)
    read = {table: contracts[table] for table in inputs}
    return release(
        pipeline.dataset,
        frame,
        inputs=inputs,
        definitions=context.definitions,
        mode=pipeline.mode,
        code_revision=code_revision(),
        store=store,
        pipeline=pipeline.name,
        privacy=privacy,
        retention=kept_until(pipeline.dataset, frame, read),
        withheld=withheld,
        lineage=lineage_object(pipeline, privacy, store, keep=not dry_run),
        dry_run=dry_run,
    )


def train_model(pipeline: Pipeline, home: Home) -> Built:
    """Train a model on the latest release, and promote it if it beats the champion.

    If a retraining made that release, it has also trained and compared a model, so nothing is done.
    """
    from headrace.datasets import open_release
    from headrace.models import challenge, list_models, train
    from headrace.models.svg_plots import model_report

    dataset = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    champion = retraining_champion(pipeline, home, dataset.ref)
    if champion is not None:
        why = "a retraining made this release, and has trained and compared a model on it"
        return Built({"model": champion.ref, "dataset": dataset.ref, "why": why}, changed=False)
    report("model", 0, 1, pipeline.model.name)
    before = {model.ref for model in list_models(home)}
    record = train(dataset, pipeline.model, home)
    outcome = challenge(home, record, dataset, margin=pipeline.model.margin)
    report("model", 1, 1, record.ref)
    return Built(
        {
            "model": record.ref,
            "dataset": record.dataset,
            "promoted": outcome.promoted,
            "why": outcome.reason,
            "test": {"md": model_report(record.metrics, record.task)},
        },
        changed=record.ref not in before or outcome.promoted,
    )


def _inputs(context: BuildContext) -> dict[str, "InputTable"]:
    from headrace.datasets.manifest import InputTable

    used = {
        context.pipeline.spine.table,
        context.pipeline.label.table,
        *(view.table for view in context.pipeline.views if not isinstance(view, RowTransform)),
    }
    inputs = {}
    for table in context.pipeline.tables:
        if table.name not in used:
            continue
        contract = table.contract
        verdicts: dict[str, int] = {}
        for row in slot_rows(context.home, table, context.pipeline.last_slot):
            verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
        inputs[table.name] = InputTable(
            snapshot_id=context.snapshots[table.name],
            contract_version=contract.version,
            contract_hash=contract.meaning_hash,
            licence=contract.licence,
            purposes=tuple(contract.purposes),
            owner=contract.owner,
            verdicts=verdicts,
            overrides=_overrides(context, table.name),
            batches=tuple(sorted(context.batches[table.name])),
        )
    return inputs


def _overrides(context: BuildContext, table: str) -> tuple[str, ...]:
    with Ledger(context.home) as ledger:
        return overrides_in(ledger, table, context.batches[table])


def _null_table(table: pa.Table) -> str:
    """Return a Markdown table of the share of nulls per feature.

    It makes an empty history or a broken join visible.
    """
    lines = ["| feature | null |", "| --- | ---: |"]
    for name in table.column_names:
        share = table[name].null_count / max(table.num_rows, 1)
        lines.append(f"| {name} | {share:.1%} |")
    return "\n".join(lines)
