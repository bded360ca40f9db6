"""Refusal to open a release past its retention, unless a reason is given and recorded."""

from headrace.core.clock import now_us
from headrace.core.errors import ExpiredError
from headrace.datasets.governance.retention import is_expired, retention_text
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.taint import record_opening


def refuse_expired(store: Store, manifest: Manifest, reason: str | None) -> None:
    """Refuse to open an expired release without a `reason`; record the reason if there is one.

    Raises:
        ExpiredError: the release is past its retention, and there is no reason.
        DeclarationError: the reason is empty.
        StateError: the reason cannot be recorded.
    """
    if not is_expired(manifest.retention, now_us()):
        return
    if reason is not None:
        record_opening(store, manifest, (), reason)
        return
    raise ExpiredError(
        f"{manifest.ref} may no longer be kept: it was {retention_text(manifest.retention)}",
        where=store.storage.address,
        fix=f"retire it: headrace dataset retire {manifest.ref} --reason ...; or"
        f' headrace.open("{manifest.ref}", allow_expired="why"), which is recorded',
    )
