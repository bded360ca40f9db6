"""Retirement of a release: delete it permanently, and unpin its snapshots in the lake."""

from typing import Any

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy, load_policy
from headrace.datasets.erasure.tombstone import Tombstone, bury, objects_of, releases, tombstones
from headrace.datasets.governance.retention import is_expired, retention_text
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.pipeline.pins import let_go_of_gone


def retire(
    home: Home,
    ref: str | None,
    *,
    principal: str,
    reason: str,
    expired: bool = False,
    policy: PermissionPolicy | None = None,
) -> list[dict[str, Any]]:
    """Retire one release, or every release past its retention; return the retired releases.

    Args:
        home: its store has the release.
        ref: `name@version`; an alias is refused, because it may move to another release.
        principal: who acts.
        reason: why; for releases past their retention, the retention period by default.
        expired: True to retire every release past its retention, instead of one.
        policy: by default the project's.

    Raises:
        RefusedError: the policy does not allow a retirement from one of the datasets; nothing was
            retired.
        DeclarationError: neither or both of `ref` and `expired` are given, or there is no reason.
        StateError: there is no such release.
    """
    if (ref is None) is not expired or not (expired or reason.strip()):
        raise DeclarationError(
            "a retirement needs one release and a reason, or --expired",
            fix="headrace dataset retire NAME@VERSION --reason '...', or --expired",
        )
    store = Store.find(home.store)
    for stone in tombstones(store):
        if stone.kind == "retired":
            bury(store, stone)  # completes a retirement that a crash interrupted
    if expired:
        now = now_us()
        manifests = [release for release in releases(store) if is_expired(release.retention, now)]
    else:
        name, _, version = str(ref).partition("@")
        manifests = [store.manifest(name, version)]
    rules = policy or load_policy()
    for dataset in sorted({manifest.name for manifest in manifests}):
        rules.check(principal, "retire", dataset)
    retired = [
        _retired(store, manifest, principal, reason or retention_text(manifest.retention))
        for manifest in manifests
    ]
    let_go_of_gone(home, store)
    return retired


def _retired(store: Store, manifest: Manifest, principal: str, reason: str) -> dict[str, Any]:
    stone = Tombstone(
        kind="retired",
        name=manifest.name,
        version=manifest.version,
        manifest_id=manifest.id,
        content_hash=manifest.content_hash,
        rows=manifest.rows,
        at=now_us(),
        principal=principal,
        reason=reason,
        objects=tuple(sorted(objects_of(store, manifest))),
    )
    bury(store, stone)
    return {"ref": manifest.ref, "reason": reason, "content_hash": manifest.content_hash}
