"""The stages after the tables: views, release, model. Each is safe to run again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.home import Home
from headrace.core.progress import report
from headrace.features.frames.training_frame import apply_transforms
from headrace.features.labels import attach_label
from headrace.features.spec import FeatureView, Lookup, RowTransform
from headrace.lake.ledger.batch_listing import slot_rows
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.pinned_actions import overrides_in
from headrace.pipeline.build_context import Workshop, leave, workshop
from headrace.pipeline.code_revision import code_revision
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.pins import hold, settle
from headrace.pipeline.release_metadata import test_report
from headrace.pipeline.rolled_splits import as_it_stands, retrained

if TYPE_CHECKING:
    from headrace.datasets.manifest import InputTable, Manifest
    from headrace.datasets.splits.rolling import Withheld


@dataclass(frozen=True)
class Built:
    """What a stage did: values to show (`{"md": text}` is markdown), and whether it changed any."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = True


def build_view(pipeline: Pipeline, view: FeatureView | Lookup, home: Home) -> Built:
    """Bring one view up to date; only rows that new facts can reach are computed."""
    shop = workshop(pipeline, home)
    done = shop.view(view)
    shop.built.add(view.name)
    total = sum(not isinstance(one, RowTransform) for one in pipeline.views)
    report("features", len(shop.built), total, view.name)
    return Built(
        {
            "rows": done.table.num_rows,
            "rows computed now": done.computed,
            "features": done.table.num_columns,
            "definition hash": shop.definitions[view.name],
            "nulls": {"md": _null_table(done.table)},
        },
        changed=done.computed > 0,
    )


def feature_frame(shop: Workshop) -> pa.Table:
    """Spine and all features: one row for each prediction, ordered by (t, key)."""
    frame = shop.spine
    for view in shop.pipeline.views:
        if not isinstance(view, RowTransform):
            columns = shop.view(view).table
            for name in columns.column_names:
                frame = frame.append_column(name, columns[name])
    return apply_transforms(frame, shop.pipeline.views)


def labelled_frame(shop: Workshop) -> pa.Table:
    """The feature frame with the label, each row's read as of the cut of its split."""
    from headrace.datasets import label_cuts

    pipeline, frame = shop.pipeline, feature_frame(shop)
    cuts = label_cuts(pipeline.dataset, frame["t"].to_numpy())
    return attach_label(
        frame, pipeline.label, shop.history, pipeline.contracts, cuts, pipeline.mode
    )


def build_release(pipeline: Pipeline, home: Home) -> Built:
    """Release the dataset; the latest release again, if nothing changed."""
    from headrace.datasets import list_releases
    from headrace.pipeline.release_metadata import release_report

    before = {one.ref for one in list_releases(home.store)}
    manifest = pinned_release(pipeline, home)
    return Built(release_report(manifest), changed=manifest.ref not in before)


def pinned_release(pipeline: Pipeline, home: Home, *, dry_run: bool = False) -> "Manifest":
    """The release of what is published now, its snapshots held; or only what it would be.

    Its splits end where the last retraining rolled them to.
    """
    rolled, withheld = as_it_stands(pipeline, home)
    return pinned(rolled, home, withheld, dry_run=dry_run)


def pinned(
    pipeline: Pipeline, home: Home, withheld: Sequence["Withheld"] = (), *, dry_run: bool = False
) -> "Manifest":
    """The release of a pipeline with its splits as they are here, without spans of faulty rows."""
    shop = workshop(pipeline, home)
    report("dataset", 0, 1, pipeline.dataset.name)
    inputs = _inputs(shop)
    snapshots = {name: given.snapshot_id for name, given in inputs.items()}
    held = {} if dry_run else hold(shop.lake, snapshots)
    manifest = release_from(shop, home.store, inputs, withheld, dry_run=dry_run)
    leave()  # what follows reads the release, not the tables
    if not dry_run:
        # Not only when it is new: a crash between release and pin must not leave it to expire.
        settle(shop.lake, held, manifest)
    report("dataset", 1, 1, manifest.ref)
    return manifest


def release_from(
    shop: Workshop,
    store: Path | str,
    inputs: Mapping[str, "InputTable"],
    withheld: Sequence["Withheld"] = (),
    *,
    dry_run: bool = False,
) -> "Manifest":
    """The release that a workshop makes, of new snapshots or of pinned ones.

    Everything that decides the content belongs here, so that a rebuild repeats it.
    """
    from headrace.datasets import release
    from headrace.datasets.governance.apply_privacy import kept_until, treated
    from headrace.datasets.governance.privacy_classes import frame_classes
    from headrace.pipeline.column_lineage import lineage_object

    pipeline, contracts = shop.pipeline, shop.pipeline.contracts
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, contracts)
    frame, privacy = treated(pipeline.dataset, labelled_frame(shop), classes)
    read = {table: contracts[table] for table in inputs}
    return release(
        pipeline.dataset,
        frame,
        inputs=inputs,
        definitions=shop.definitions,
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
    """Train on the latest release and let the result stand against the champion.

    What a retraining released it has trained and judged, too: nothing is left to do then.
    """
    from headrace.datasets import open_release
    from headrace.models import challenge, list_models, train

    dataset = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    standing = retrained(pipeline, home, dataset.ref)
    if standing is not None:
        why = "this release is a retraining's: it has trained on it and compared"
        return Built({"model": standing.ref, "dataset": dataset.ref, "why": why}, changed=False)
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
            "test": {"md": test_report(record.metrics)},
        },
        changed=record.ref not in before or outcome.promoted,
    )


def _inputs(shop: Workshop) -> dict[str, "InputTable"]:
    from headrace.datasets.manifest import InputTable

    used = {
        shop.pipeline.spine.table,
        shop.pipeline.label.table,
        *(view.table for view in shop.pipeline.views if not isinstance(view, RowTransform)),
    }
    found = {}
    for table in shop.pipeline.tables:
        if table.name not in used:
            continue
        contract = table.contract
        verdicts: dict[str, int] = {}
        for row in slot_rows(shop.home, table, shop.pipeline.last_slot):
            verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
        found[table.name] = InputTable(
            snapshot_id=shop.snapshots[table.name],
            contract_version=contract.version,
            contract_hash=contract.meaning_hash,
            licence=contract.licence,
            purposes=tuple(contract.purposes),
            owner=contract.owner,
            verdicts=verdicts,
            overrides=_overrides(shop, table.name),
            batches=tuple(sorted(shop.batches[table.name])),
        )
    return found


def _overrides(shop: Workshop, table: str) -> tuple[str, ...]:
    with Ledger(shop.home) as ledger:
        return overrides_in(ledger, table, shop.batches[table])


def _null_table(table: pa.Table) -> str:
    """Share of nulls per feature: an empty history looks like this, and so does a broken join."""
    lines = ["| feature | null |", "| --- | ---: |"]
    for name in table.column_names:
        share = table[name].null_count / max(table.num_rows, 1)
        lines.append(f"| {name} | {share:.1%} |")
    return "\n".join(lines)
