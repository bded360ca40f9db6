"""Whether a release can be made again here, and the pipeline as it was declared for it.

A release pins what its content hangs on. What differs now is named, and nothing is computed: a
rebuild by other definitions would only prove that they are others.
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
    """The pipeline that made the release, with the mode, cutoff, splits and views it had then.

    Raises:
        DeclarationError: no pipeline made it, or one whose declaration means something else now;
            it says what, and which revision of the project to take.
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
            f"{manifest.ref} cannot be made again by what is declared now: {'; '.join(changed)}",
            where=f"pipeline {pipeline.name}; the release was made by {manifest.code_revision}",
            fix=_at_revision(manifest),
        )
    mode: Any = manifest.mode
    return replace(pipeline, views=views, dataset=spec, mode=mode, max_staleness=())


def _maker(pipelines: list[Pipeline], manifest: Manifest) -> Pipeline:
    known = ", ".join(sorted(pipeline.name for pipeline in pipelines)) or "none"
    if not manifest.pipeline and manifest.format > 1:
        raise DeclarationError(
            f"no pipeline made {manifest.ref}: its frame was released by hand",
            fix="only who made that frame can make it again; `headrace dataset verify` says"
            " whether what is stored is what was released",
        )
    for one in pipelines:  # format 1 did not say which
        made_it = one.name == manifest.pipeline or not manifest.pipeline
        if made_it and one.dataset.name == manifest.name:
            return one
    wanted = f"pipeline {manifest.pipeline!r}" if manifest.pipeline else "a pipeline"
    raise DeclarationError(
        f"{manifest.ref} was made by {wanted} with a dataset {manifest.name},"
        " which this project does not declare",
        where=f"pipelines of this project: {known}",
        fix=_at_revision(manifest),
    )


def _definitions(pipeline: Pipeline, manifest: Manifest) -> Iterator[str]:
    """Views that came later do not count: the release is made without them."""
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
            same = now.version == then.contract_version
            yield f"contract of {table}: {'changed without a new version' if same else versions}"


def _spec(spec: DatasetSpec, manifest: Manifest) -> DatasetSpec:
    """The dataset with what the manifest fixes and a later release may have rolled on."""
    splits, apart = as_bounded_in(manifest.split_rule, spec.splits, spec.evaluation)
    return replace(
        spec,
        splits=splits,
        evaluation=apart,
        cutoff=iso(manifest.cutoff_us),
        purpose=manifest.purpose,
        description=manifest.description,
        parameters=dict(manifest.parameters),
    )


def _split_rule(spec: DatasetSpec, manifest: Manifest) -> Iterator[str]:
    now, then = spec.split_form(), manifest.split_rule
    for name in sorted({*now, *then}):
        if _plain(now, name) != _plain(then, name):
            yield f"split rule {name}: {now.get(name)!r}, it was {then.get(name)!r}"


def _plain(form: Mapping[str, Any], name: str) -> str:
    return digest(form.get(name))


def _at_revision(manifest: Manifest) -> str:
    found = _PROJECT.search(manifest.code_revision)
    if found is None:
        return f"take the project as it was when {manifest.code_revision} made the release"
    commit, changes = found.groups()
    more = " (it had changes that were not committed; they are needed, too)" if changes else ""
    return (
        f"git worktree add ../{manifest.name}-{manifest.version} {commit}, and rebuild from there"
        f" with HEADRACE_HOME as it is now{more}"
    )


def has_ended(store: Store, manifest: Manifest) -> bool:
    """Whether the release is what an erasure left of another: nobody can make it again."""
    for erasure in manifest.erasures:
        name, _, version = str(erasure.get("from", "")).partition("@")
        stone = tombstone(store, name, version) if version else None
        if stone is not None and stone.successor == manifest.ref:
            return True
    return False


def check_not_ended(store: Store, manifest: Manifest) -> None:
    """Raises StateError where an erasure has ended that the release can be made again."""
    known = {request.id for request in requests(store)}
    lost = [str(erasure["id"]) for erasure in manifest.erasures if erasure["id"] not in known]
    if has_ended(store, manifest) or lost:
        why = f", and erasure {lost[0]} is not on record here" if lost else ""
        raise StateError(
            f"rows were erased from {manifest.ref}{why}: it cannot be made again, because the"
            " tables would bring them back",
            where=str(store.root),
            fix="the erasure's proof is the subtraction of hashes; `headrace dataset verify` checks"
            " what is stored",
        )


def check_pins(lake: Lake, manifest: Manifest) -> dict[str, int]:
    """The pinned snapshots by table.

    Raises:
        StateError: one is gone, or a file of it.
    """
    pins = {}
    for table, given in manifest.inputs.items():
        if not isinstance(given.snapshot_id, int):
            raise StateError(
                f"{manifest.ref} pins no snapshot of {table}, but {given.snapshot_id!r}",
                where="its manifest",
                fix="it was not made from published tables, so it cannot be made again from them",
            )
        missing = [
            file for file in lake.files(table, given.snapshot_id) if not _is_there(file.path)
        ]
        if missing:
            raise StateError(
                f"{len(missing)} files of snapshot {given.snapshot_id} of {table} are gone",
                where=missing[0].path,
                fix="restore them from a backup; the batches' delivered bytes may be there still:"
                f" headrace gate rerun {table} {missing[0].batch_id[:12]} --reason ...",
            )
        pins[table] = given.snapshot_id
    return pins


def _is_there(path: str) -> bool:
    return "://" in path or Path(path).is_file()
