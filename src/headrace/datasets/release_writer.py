"""Make a release: split the rows, store the objects, assign a version, publish the manifest."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.datasets.card.statement import to_json as stated_json
from headrace.datasets.erasure.erase import without_late
from headrace.datasets.erasure.requests import requests, together, without_erased
from headrace.datasets.governance.apply_privacy import treated
from headrace.datasets.governance.rules import check_allowed, licences
from headrace.datasets.manifest import InputTable, Manifest, SplitEntry
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.build_splits import Divided, divide
from headrace.datasets.splits.rolling import Withheld
from headrace.datasets.store.split_files import check_there, known_parts, store_splits, total
from headrace.datasets.store.store import Store, TakenError
from headrace.datasets.taint import keep_override, recalled_inputs, refuse_tainted, taints
from headrace.datasets.version import FIRST, next_version, unused

# Attempts to publish when other releases keep taking the version.
_TRIES = 20


def release(
    spec: DatasetSpec,
    frame: pa.Table,
    *,
    inputs: Mapping[str, InputTable],
    definitions: Mapping[str, str],
    mode: str,
    code_revision: str,
    cutoff: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    fits: Mapping[str, str] | None = None,
    store: Path | str | None = None,
    allow_tainted: str | None = None,
    pipeline: str = "",
    live_since: int | None = None,
    lineage: str = "",
    coverage: str = "",
    privacy: Mapping[str, Mapping[str, str]] | None = None,
    retention: Mapping[str, Any] | None = None,
    withheld: Sequence[Withheld] = (),
    dry_run: bool = False,
) -> Manifest:
    """Release `frame` and return its manifest; if nothing changed, return the latest manifest.

    `frame` has `t` (int64 microseconds UTC or timestamp), the key columns, features, the label's
    columns and `label_reason` (string, null where there is a label); `label_cuts` returns the
    moment at which each label is read. Features are the columns `<view>__<name>` or `<view>` of the
    views in `definitions` (view -> definition hash). `inputs` describes the tables that were read.
    `cutoff` (microseconds UTC) defaults to the spec's. The arguments from `pipeline` to `retention`
    go into the manifest unchanged (see `Manifest`); without `privacy`, the treatments of the spec
    are applied here. Rows in `withheld` spans are in no split and are counted as withheld. With
    `dry_run` nothing is written: the manifest has the next version and its reasons, but no splits.

    Raises DeclarationError if the sources forbid the release, a key leaks between splits, or rows
    lack a label for an undeclared reason. Raises TaintedError if `inputs` hold a recalled batch (as
    inputs of an earlier snapshot may) and `allow_tainted` gives no reason. With a reason, which the
    manifest records, the release is published and is tainted from the start.
    """
    target = Store.find(store)
    inputs = _untainted(target, spec.name, inputs, allow_tainted)
    terms = check_allowed(spec.name, spec.purpose, inputs, commercial=spec.commercial)
    if privacy is None:
        frame, privacy = treated(spec, frame, {})
    known_erasures = {request.id for request in requests(target)}
    frame, erased = without_erased(target, spec.name, frame)
    end = spec.cutoff_us if cutoff is None else cutoff
    divided = divide(spec, frame, definitions, end, withheld)
    content = total(split.content for split in divided.splits.values())
    draft = Manifest(
        name=spec.name,
        version=FIRST,
        change="FIRST",
        reasons=(),
        previous=None,
        content_hash=content.hash,
        rows=content.rows,
        columns=divided.columns,
        label=spec.label_form(),
        split_rule=spec.split_form(),
        cutoff_us=end,
        mode=mode,
        splits={},
        left_out=divided.excluded,
        inputs={table: _sorted(source) for table, source in inputs.items()},
        definitions=dict(sorted(definitions.items())),
        fits={**divided.fit_ids, **(fits or {})},
        parameters={**spec.parameters, **(parameters or {})},
        code_revision=code_revision,
        purpose=spec.purpose,
        description=spec.description,
        licences=licences(inputs),
        pipeline=pipeline,
        live_since_us=live_since,
        privacy=dict(privacy or {}),
        retention=dict(retention or {}),
        terms=terms.to_json(),
        card=digest(stated_json(spec.card)) if spec.card else "",
        lineage=lineage,
        coverage=coverage,
        leakage=divided.leakage,
        erasures=together(target.latest(spec.name), erased),
        withheld=tuple(span.to_json() for span in sorted(withheld)),
    )
    if dry_run:
        return _numbered(target, draft, inputs)[0]
    if spec.card:
        target.put_json(stated_json(spec.card))
    return without_late(
        target, _published(target, draft, inputs, divided, spec.key), known_erasures
    )


def _published(
    store: Store,
    draft: Manifest,
    inputs: Mapping[str, InputTable],
    divided: Divided,
    key: tuple[str, ...],
) -> Manifest:
    """Assign a version and publish; repeat if another release takes the version first."""
    parts: dict[str, SplitEntry] = {}
    lists: dict[str, InputTable] = {}
    coverage = ""
    for _ in range(_TRIES):
        numbered, latest = _numbered(store, draft, inputs)
        if latest is not None and numbered == latest:
            return _mended(store, latest, draft, divided, key)
        parts = parts or store_splits(store, divided.splits, key, known_parts(latest, draft))
        lists = lists or {name: _listed(store, source) for name, source in draft.inputs.items()}
        coverage = coverage or divided.store_found(store)
        report = draft.coverage or coverage
        manifest = replace(numbered, splits=parts, inputs=lists, coverage=report)
        check_there(store, manifest)
        with suppress(TakenError):
            store.publish(manifest)
            return _mended(store, manifest, draft, divided, key)
    raise StateError(
        f"{_TRIES} other releases of {draft.name} took the version first",
        where=store.storage.address,
        fix="release again when the others are done",
    )


def _mended(
    store: Store, manifest: Manifest, draft: Manifest, divided: Divided, key: tuple[str, ...]
) -> Manifest:
    """Return a published release after writing missing objects again.

    A concurrent removal of another release may have deleted shared objects before it saw this one.
    """
    try:
        check_there(store, manifest)
    except StateError:
        store_splits(store, divided.splits, key, {})
        divided.store_found(store)
        for source in draft.inputs.values():
            _listed(store, source)
        check_there(store, manifest)
    return manifest


def _numbered(
    store: Store, draft: Manifest, inputs: Mapping[str, InputTable]
) -> tuple[Manifest, Manifest | None]:
    """(manifest, latest): the draft with version and reasons, or `latest` if nothing changed."""
    latest = store.latest(draft.name)
    step = next_version(latest, draft)
    if latest is not None and step.change == "NONE":
        recalled = recalled_inputs(store, inputs)
        marks = [taint for taint in taints(store, latest) if taint not in recalled]
        if not marks:
            return latest, latest
        # The latest release is tainted and the draft is not: same content, but a new clean release.
        step = next_version(latest, draft, new_reasons=tuple(f"without {mark}" for mark in marks))
    previous = latest.id if latest else None
    version = unused(step.version, step.change, store.removed_versions(draft.name))
    return replace(
        draft, version=version, change=step.change, reasons=step.reasons, previous=previous
    ), latest


def _untainted(
    store: Store, name: str, inputs: Mapping[str, InputTable], reason: str | None
) -> Mapping[str, InputTable]:
    """`inputs` with an override for each recalled batch; without `reason`, refuse such batches."""
    marks = recalled_inputs(store, inputs)
    if reason is None:
        fix = "release from the current tables; or release(..., allow_tainted='why')"
        refuse_tainted(f"a release of {name}", marks, where=store.storage.address, fix=fix)
    updated = dict(inputs)
    for mark in marks:
        source = updated[mark.table]
        updated[mark.table] = replace(
            source, overrides=(*source.overrides, keep_override(mark, str(reason)))
        )
    return updated


def _sorted(source: InputTable) -> InputTable:
    return replace(
        source, purposes=tuple(sorted(source.purposes)), overrides=tuple(sorted(source.overrides))
    )


def _listed(store: Store, source: InputTable) -> InputTable:
    batches = sorted(source.batches)
    return replace(source, batches=(), batch_count=len(batches), batch_list=store.put_json(batches))
