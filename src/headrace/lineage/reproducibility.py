"""Check that the project still has the declarations that a release was made with.

A release records everything that its content depends on. If declarations have changed since, the
changes are reported and nothing is rebuilt.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.core.clock import iso
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import digest
from headrace.datasets.erasure.requests import requests
from headrace.datasets.erasure.tombstone import tombstone
from headrace.datasets.governance.privacy import changed_treatments
from headrace.datasets.manifest import Manifest
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rules import as_bounded_in
from headrace.datasets.store.store import Store
from headrace.features.canonical import definition_hashes
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline

_PROJECT = re.compile(r"project ([0-9a-f]{7,40})(\+changes)?")


def as_released(pipelines: Iterable[Pipeline], manifest: Manifest) -> Pipeline:
    """Return the pipeline that made the release, with the release's mode, cutoff, splits and views.

    Raises:
        DeclarationError: no pipeline made it, or the declaration of that pipeline has changed; the
            message lists the changes and the project revision to use.
    """
    pipeline = _maker(list(pipelines), manifest)
    views = tuple(view for view in pipeline.views if view.name in manifest.definitions)
    changed = [*_definitions(pipeline, manifest), *_contracts(pipeline, manifest)]
    if pipeline.dataset.label_form()["hash"] != manifest.label["hash"]:
        changed.append(f"label {manifest.label['name']}: changed")
    spec = _spec(pipeline.dataset, manifest)
    changed += _split_rule(spec, manifest)
    changed += changed_treatments(spec.privacy, manifest.privacy)
    if changed:
        raise DeclarationError(
            f"{manifest.ref} cannot be rebuilt from the present declarations: {'; '.join(changed)}",
            where=f"pipeline {pipeline.name}; the release was made by {manifest.code_revision}",
            fix=_at_revision(manifest),
        )
    mode: Any = manifest.mode
    return replace(
        pipeline, views=views, datasets=(spec,), models=(), monitors=(), mode=mode, max_staleness=()
    )


def _maker(pipelines: list[Pipeline], manifest: Manifest) -> Pipeline:
    names = ", ".join(sorted(pipeline.name for pipeline in pipelines)) or "none"
    if not manifest.pipeline and manifest.format > 1:
        raise DeclarationError(
            f"no pipeline made {manifest.ref}: its frame was released by hand",
            fix="only the author of that frame can build it again; `headrace dataset verify`"
            " checks that the stored content equals the released content",
        )
    for pipeline in pipelines:  # format 1 does not name the pipeline
        matches = pipeline.name == manifest.pipeline or not manifest.pipeline
        if matches and any(dataset.name == manifest.name for dataset in pipeline.datasets):
            return pipeline.for_dataset(manifest.name)
    maker = f"pipeline {manifest.pipeline!r}" if manifest.pipeline else "a pipeline"
    raise DeclarationError(
        f"{manifest.ref} was made by {maker} with a dataset {manifest.name},"
        " which this project does not declare",
        where=f"pipelines of this project: {names}",
        fix=_at_revision(manifest),
    )


def _definitions(pipeline: Pipeline, manifest: Manifest) -> Iterator[str]:
    """Yield the views that changed or were removed since the release; new views do not matter."""
    now = definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    for name, then in sorted(manifest.definitions.items()):
        if name not in now:
            yield f"view {name}: no longer declared"
        elif now[name] != then:
            yield f"definition of {name}: {now[name][:12]}, it was {then[:12]}"


def _contracts(pipeline: Pipeline, manifest: Manifest) -> Iterator[str]:
    for table, then in sorted(manifest.inputs.items()):
        now = pipeline.contracts.get(table)
        if now is None:
            yield f"table {table}: no longer declared"
        elif now.meaning_hash != then.contract_hash:
            versions = f"{now.version}, it was {then.contract_version}"
            same_version = now.version == then.contract_version
            change = "changed without a new version" if same_version else versions
            yield f"contract of {table}: {change}"


def _spec(spec: DatasetSpec, manifest: Manifest) -> DatasetSpec:
    """Return the dataset spec with the values that the manifest of the release has."""
    splits, apart = as_bounded_in(manifest.split_rule, spec.splits, spec.evaluation)
    return replace(
        spec,
        splits=splits,
        evaluation=apart,
        cutoff=iso(manifest.cutoff_us),
        purpose=manifest.purpose,
        description=manifest.description,
        parameters=dict(manifest.parameters),
        views=None,  # those of the release
    )


def _split_rule(spec: DatasetSpec, manifest: Manifest) -> Iterator[str]:
    now, then = spec.split_form(), manifest.split_rule
    for name in sorted({*now, *then}):
        if _plain(now, name) != _plain(then, name):
            yield f"split rule {name}: {now.get(name)!r}, it was {then.get(name)!r}"


def _plain(form: Mapping[str, Any], name: str) -> str:
    return digest(form.get(name))


def _at_revision(manifest: Manifest) -> str:
    parsed = _PROJECT.search(manifest.code_revision)
    if parsed is None:
        return f"check out the project as it was when {manifest.code_revision} made the release"
    commit, changes = parsed.groups()
    note = " (the project had uncommitted changes, which are needed, too)" if changes else ""
    return (
        f"git worktree add ../{manifest.name}-{manifest.version} {commit}, and rebuild from there"
        f" with HEADRACE_HOME as it is now{note}"
    )


def has_ended(store: Store, manifest: Manifest) -> bool:
    """Return True if an erasure produced the release, which therefore cannot be rebuilt."""
    for erasure in manifest.erasures:
        name, _, version = str(erasure.get("from", "")).partition("@")
        stone = tombstone(store, name, version) if version else None
        if stone is not None and stone.successor == manifest.ref:
            return True
    return False


def check_not_ended(store: Store, manifest: Manifest) -> None:
    """Raise StateError if the release is not reproducible because of an erasure."""
    recorded = {request.id for request in requests(store)}
    unrecorded = [
        str(erasure["id"]) for erasure in manifest.erasures if erasure["id"] not in recorded
    ]
    if has_ended(store, manifest) or unrecorded:
        why = f", and this store has no record of erasure {unrecorded[0]}" if unrecorded else ""
        raise StateError(
            f"rows were erased from {manifest.ref}{why}: it cannot be rebuilt, because a rebuild"
            " from the tables would bring the rows back",
            where=str(store.root),
            fix="the erasure is proven by subtracting hashes; `headrace dataset verify` checks the"
            " stored content",
        )


def check_pins(lake: Lake, manifest: Manifest) -> dict[str, int]:
    """Return the pinned snapshots by table.

    Raises:
        StateError: a snapshot, or one of its files, is gone.
    """
    pins = {}
    for table, input_table in manifest.inputs.items():
        if not isinstance(input_table.snapshot_id, int):
            raise StateError(
                f"{manifest.ref} pins {input_table.snapshot_id!r}, not a snapshot of {table}",
                where="the release's manifest",
                fix="the release was not made from published tables, so it cannot be rebuilt",
            )
        missing = [
            file for file in lake.files(table, input_table.snapshot_id) if not _is_there(file.path)
        ]
        if missing:
            raise StateError(
                f"files of snapshot {input_table.snapshot_id} of {table} are gone: {len(missing)}",
                where=missing[0].path,
                fix="restore them from a backup, or publish the delivered bytes again:"
                f" headrace gate rerun {table} {missing[0].batch_id[:12]} --reason ...",
            )
        pins[table] = input_table.snapshot_id
    return pins


def _is_there(path: str) -> bool:
    return "://" in path or Path(path).is_file()
