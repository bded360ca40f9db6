"""Erasure of a person's rows from all releases, and a report of the places that still hold them.

The rows are erased from every release of the store, together with their objects and with everything
that was fitted on them. Models trained on such a release are only listed, as are files of the home:
raw deliveries, published tables, quarantine, online stores. The owner of the source has to request
their deletion; until then, new releases exclude the rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import append_line
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy, load_policy
from headrace.datasets.erasure.erase import carry_out, disproof, finish, proofs, search
from headrace.datasets.erasure.requests import ErasureRequest, record, request_of, requests
from headrace.datasets.erasure.residue_scan import ResidueMatch, where_named, where_stored
from headrace.datasets.erasure.tombstone import tombstones
from headrace.datasets.governance.privacy_key import PrivacyKey
from headrace.datasets.store.store import Store
from headrace.models.external import ExternalModel, list_external
from headrace.models.record import ModelRecord, list_models
from headrace.models.registry import pointer
from headrace.pipeline.pins import let_go_of_gone

FORMAT = 1
LEDGER = "erasures.ndjson"


def erase(
    home: Home,
    entity: Mapping[str, str],
    *,
    principal: str,
    reason: str,
    datasets: Iterable[str] | None = None,
    dry_run: bool = False,
    scan: bool = True,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Erase every row whose columns have the values in `entity`; return JSON values.

    Running it again changes nothing, or completes an interrupted erasure.

    Args:
        home: its store and models are searched.
        entity: {column: value as text}.
        principal: who acts.
        reason: why; it is stored permanently, so it must not name the person.
        datasets: names of the datasets to erase from; all by default.
        dry_run: report what would be erased, and change nothing.
        scan: search the files of store and home for the value afterwards.
        policy: by default the project's.

    Raises:
        RefusedError: the policy does not allow the erasure from one of these datasets; nothing was
            changed.
        DeclarationError: the entity or the reason is empty, or there is no such dataset.
        StateError: there is no privacy key, or a proof fails.
    """
    store, datasets = Store.find(home.store), None if datasets is None else sorted(set(datasets))
    for name in datasets or ():
        if name not in store.names() and not store.removed_versions(name):
            raise DeclarationError(
                f"there is no dataset {name!r} to erase from",
                where=store.storage.address,
                fix=f"the store has {', '.join(store.names()) or 'none'}",
            )
    key, *earlier = PrivacyKey.find_all("an erasure")
    request = request_of(
        entity, key, principal=principal, reason=reason, datasets=datasets, earlier=earlier
    )
    matches = search(store, request)
    reached = [
        {"ref": release.manifest.ref, "rows": dict(release.rows), "of": release.manifest.rows}
        for release in matches.affected
    ]
    before = {
        "id": request.id,
        "columns": sorted(request.columns),
        "dry_run": dry_run,
        "releases": reached,
        "searched": matches.searched,
        "unsearched": list(matches.unsearched),
    }
    if dry_run:
        models = _models(home, {release.manifest.ref for release in matches.affected}, entity)
        return {**before, "models": models, **_scanned(home, store, entity, scan=scan)}
    rules = policy or load_policy()
    # Datasets without matching rows are checked too: the request applies to all later releases.
    for dataset in store.names() if datasets is None else datasets:
        rules.check(principal, "erase", dataset)
    request = record(store, request)
    replacements = carry_out(store, request)
    let_go_of_gone(home, store)
    old = {stone.ref for stone in tombstones(store) if stone.erasure == request.id}
    models = _models(home, old, entity)
    document = {
        **before,
        "at": iso(request.at),
        "principal": request.principal,
        "reason": request.reason,
        "replaced": [
            {"old": replacement.old, "new": replacement.new, "erased": replacement.erased}
            for replacement in replacements
        ],
        "proofs": _checked(store, request),
        "models": models,
        **_scanned(home, store, entity, scan=scan),
    }
    _keep(home, request, document)
    return document


def finish_all(home: Home) -> dict[str, Any]:
    """Complete every recorded erasure; the person's values are not needed."""
    store = Store.find(home.store)
    replaced = [
        {"old": replacement.old, "new": replacement.new, "erased": replacement.erased}
        for replacement in finish(store)
    ]
    let_go_of_gone(home, store)
    return {"replaced": replaced, "erasures": listed(home)}


def listed(home: Home) -> list[dict[str, Any]]:
    """Return every recorded erasure, its checked proofs, and the models trained on erased rows."""
    store = Store.find(home.store)
    stones = tombstones(store)
    rows = []
    for request in requests(store):
        old = {stone.ref: stone.successor for stone in stones if stone.erasure == request.id}
        rows.append(
            {
                "id": request.id,
                "columns": sorted(request.columns),
                "at": iso(request.at),
                "principal": request.principal,
                "reason": request.reason,
                "replaced": old,
                "proofs": _checked(store, request),
                "models": [record_.ref for record_ in _every_model(home) if record_.dataset in old],
            }
        )
    return rows


def _checked(store: Store, request: ErasureRequest) -> list[dict[str, Any]]:
    return [
        {
            "old": proof["old"]["ref"],
            "new": proof["new"]["ref"],
            "rows": proof["erased"]["rows"],
            "problem": disproof(proof),
        }
        for proof in proofs(store, request)
    ]


def _every_model(home: Home) -> list[ModelRecord | ExternalModel]:
    return [*list_models(home), *list_external(home)]


def _models(home: Home, refs: set[str], entity: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return models trained on these releases; `names_it`: a file of the model has the value."""
    rows = []
    for record_ in _every_model(home):
        if record_.dataset in refs:
            champion = pointer(home, record_.name)
            rows.append(
                {
                    "ref": record_.ref,
                    "dataset": record_.dataset,
                    "champion": champion is not None and champion.bundle_id == record_.bundle_id,
                    "names_it": bool(where_named(record_.path, entity)),
                }
            )
    return rows


def _scanned(home: Home, store: Store, entity: Mapping[str, str], *, scan: bool) -> dict[str, Any]:
    """Return the files that hold the value: `remains` in the store, `elsewhere` in the home."""
    if not scan:
        return {"remains": None, "elsewhere": None}
    place = store.storage.local_path("objects")

    def skip(path: Path) -> bool:
        return place is not None and path.is_relative_to(place.parent)

    inside = where_stored(store.storage, entity)
    return {
        "remains": [asdict(match) for match in inside],
        "elsewhere": _by_area(where_named(home.root, entity, skip)),
    }


def _by_area(matches: list[ResidueMatch]) -> list[dict[str, Any]]:
    areas: dict[str, list[str]] = {}
    for match in matches:
        areas.setdefault(match.path.split("/", maxsplit=1)[0], []).append(match.path)
    return [
        {"area": area, "files": len(set(paths)), "first": min(paths)}
        for area, paths in sorted(areas.items())
    ]


def _keep(home: Home, request: ErasureRequest, document: Mapping[str, Any]) -> None:
    """Append a line to the home's ledger if the request is new or this run replaced releases."""
    path = home.root / LEDGER
    lines = path.read_text().splitlines() if path.exists() else []
    is_recorded = any(json.loads(line)["id"] == request.id for line in lines if line.endswith("}"))
    if is_recorded and not document["replaced"]:
        return
    line = {
        "format": FORMAT,
        "at": now_us(),
        "id": request.id,
        "principal": request.principal,
        "reason": request.reason,
        "replaced": {
            replacement["old"]: replacement["new"] for replacement in document["replaced"]
        },
        "models": [model["ref"] for model in document["models"]],
    }
    try:
        append_line(path, line)
    except OSError as error:
        raise StateError(
            f"the erasure is done and cannot be noted: {error.strerror}",
            where=str(path),
            fix="run it again when the home can be written to",
        ) from error
