"""A release past its retention refuses to open, unless somebody says why, on the record."""

from headrace.core.clock import now_us
from headrace.core.errors import ExpiredError
from headrace.datasets.governance.retention import is_expired, told
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.taint import record_opening


def refuse_expired(store: Store, manifest: Manifest, reason: str | None) -> None:
    """Let pass what may be kept still; of the rest what is opened for a `reason`, and record it.

    Raises:
        ExpiredError: it may be kept no longer, and there is no reason.
        DeclarationError: the reason is empty.
        StateError: the reason cannot be recorded.
    """
    if not is_expired(manifest.retention, now_us()):
        return
    if reason is not None:
        record_opening(store, manifest, (), reason)
        return
    raise ExpiredError(
        f"{manifest.ref} may be kept no longer: it was {told(manifest.retention)}",
        where=store.storage.address,
        fix=f"retire it: headrace dataset retire {manifest.ref} --reason ...; or"
        f' headrace.open("{manifest.ref}", allow_expired="why"), which is recorded',
    )
