"""Erase a person from everything that was released, and say where else the person still stands.

What is erased: rows in every release of the store, with the objects they stood in, and everything
that a release learnt from its rows. What is not, and is listed instead: models that were trained on
such a release, and the files of the home: deliveries as they came, published tables, quarantine,
online stores. Deleting there is for the source to ask for, whose data it is; until it does, no
release takes the rows in again.
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
from headrace.core.permissions import Policy, load_policy
from headrace.datasets.erasure.erase import carry_out, disproof, finish, proofs, search
from headrace.datasets.erasure.requests import Request, record, request_of, requests
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
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Erase every row in which all columns of `entity` have this value; plain JSON values.

    Running it again changes nothing, or does the rest of what was cut short.

    Args:
        home: whose store and models are meant.
        entity: column -> value as text.
        principal: who.
        reason: why; it is kept for good and must not name the person.
        datasets: only these; all, if left out.
        dry_run: say what it would reach, and change nothing.
        scan: search the files of store and home for the value afterwards.
        policy: the project's, if left out.

    Raises:
        RefusedError: the policy does not let them erase from one of `datasets`, or of all that the
            store has; nothing was done.
        DeclarationError: nobody is meant, no reason is given, or there is no such dataset.
        StateError: there is no privacy key, or a proof does not come out.
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
    found = search(store, request)
    reached = [
        {"ref": one.manifest.ref, "rows": dict(one.rows), "of": one.manifest.rows}
        for one in found.affected
    ]
    before = {
        "id": request.id,
        "columns": sorted(request.columns),
        "dry_run": dry_run,
        "releases": reached,
        "searched": found.searched,
        "unsearched": list(found.unsearched),
    }
    if dry_run:
        models = _models(home, {one.manifest.ref for one in found.affected}, entity)
        return {**before, "models": models, **_scanned(home, store, entity, wanted=scan)}
    rules = policy or load_policy()
    # Not only where somebody is found now: the request holds for all releases to come.
    for dataset in store.names() if datasets is None else datasets:
        rules.check(principal, "erase", dataset)
    request = record(store, request)
    done = carry_out(store, request)
    let_go_of_gone(home, store)
    old = {stone.ref for stone in tombstones(store) if stone.erasure == request.id}
    models = _models(home, old, entity)
    told = {
        **before,
        "at": iso(request.at),
        "principal": request.principal,
        "reason": request.reason,
        "replaced": [{"old": one.old, "new": one.new, "erased": one.erased} for one in done],
        "proofs": _checked(store, request),
        "models": models,
        **_scanned(home, store, entity, wanted=scan),
    }
    _keep(home, request, told)
    return told


def finish_all(home: Home) -> dict[str, Any]:
    """Bring every erasure on the record to its end, without knowing whom it means."""
    store = Store.find(home.store)
    done = [{"old": one.old, "new": one.new, "erased": one.erased} for one in finish(store)]
    let_go_of_gone(home, store)
    return {"replaced": done, "erasures": listed(home)}


def listed(home: Home) -> list[dict[str, Any]]:
    """The ledger: every erasure, whether its proofs hold, and what was trained on its rows."""
    store = Store.find(home.store)
    stones = tombstones(store)
    found = []
    for request in requests(store):
        old = {stone.ref: stone.successor for stone in stones if stone.erasure == request.id}
        found.append(
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
    return found


def _checked(store: Store, request: Request) -> list[dict[str, Any]]:
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
    """Models trained on these releases; `names_it`: a file of it has the value."""
    found = []
    for record_ in _every_model(home):
        if record_.dataset in refs:
            standing = pointer(home, record_.name)
            found.append(
                {
                    "ref": record_.ref,
                    "dataset": record_.dataset,
                    "champion": standing is not None and standing.bundle_id == record_.bundle_id,
                    "names_it": bool(where_named(record_.path, entity)),
                }
            )
    return found


def _scanned(
    home: Home, store: Store, entity: Mapping[str, str], *, wanted: bool
) -> dict[str, Any]:
    """Files that hold the value: of the store, where none may, and elsewhere in the home."""
    if not wanted:
        return {"remains": None, "elsewhere": None}
    place = store.storage.local_path("objects")

    def skip(path: Path) -> bool:
        return place is not None and path.is_relative_to(place.parent)

    inside = where_stored(store.storage, entity)
    return {
        "remains": [asdict(one) for one in inside],
        "elsewhere": _by_area(where_named(home.root, entity, skip)),
    }


def _by_area(found: list[ResidueMatch]) -> list[dict[str, Any]]:
    areas: dict[str, list[str]] = {}
    for one in found:
        areas.setdefault(one.path.split("/", maxsplit=1)[0], []).append(one.path)
    return [
        {"area": area, "files": len(set(paths)), "first": min(paths)}
        for area, paths in sorted(areas.items())
    ]


def _keep(home: Home, request: Request, told: Mapping[str, Any]) -> None:
    """One line in the home's own ledger for each run that changed something, or was the first."""
    path = home.root / LEDGER
    lines = path.read_text().splitlines() if path.exists() else []
    known = any(json.loads(line)["id"] == request.id for line in lines if line.endswith("}"))
    if known and not told["replaced"]:
        return
    line = {
        "format": FORMAT,
        "at": now_us(),
        "id": request.id,
        "principal": request.principal,
        "reason": request.reason,
        "replaced": {one["old"]: one["new"] for one in told["replaced"]},
        "models": [one["ref"] for one in told["models"]],
    }
    try:
        append_line(path, line)
    except OSError as error:
        raise StateError(
            f"the erasure is done and cannot be noted: {error.strerror}",
            where=str(path),
            fix="run it again when the home can be written to",
        ) from error
