"""Take a release away for good, and let go of what it held in the lake."""

from typing import Any

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import Policy, load_policy
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
    policy: Policy | None = None,
) -> list[dict[str, Any]]:
    """Retire one release, or all that are past their retention; what was retired now.

    Args:
        home: whose store it is.
        ref: `name@version`; an alias may mean another release tomorrow, and is refused.
        principal: who.
        reason: why; for those past their retention the contract's words, if left out.
        expired: all that are past their retention, instead of one.
        policy: the project's, if left out.

    Raises:
        RefusedError: the policy does not let them retire one of the datasets; nothing was done.
        DeclarationError: neither or both are asked for, or there is no reason.
        StateError: there is no such release.
    """
    if (ref is None) is not expired or not (expired or reason.strip()):
        raise DeclarationError(
            "say which release, and why",
            fix="headrace dataset retire NAME@VERSION --reason '...', or --expired",
        )
    store = Store.find(home.store)
    for stone in tombstones(store):
        if stone.kind == "retired":
            bury(store, stone)  # a crash may have left some of it
    if expired:
        now = now_us()
        chosen = [release for release in releases(store) if is_expired(release.retention, now)]
    else:
        name, _, version = str(ref).partition("@")
        chosen = [store.manifest(name, version)]
    rules = policy or load_policy()
    for dataset in sorted({one.name for one in chosen}):
        rules.check(principal, "retire", dataset)
    done = [
        _retired(store, one, principal, reason or retention_text(one.retention)) for one in chosen
    ]
    let_go_of_gone(home, store)
    return done


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
