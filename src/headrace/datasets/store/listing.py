"""List of the releases of a store."""

from dataclasses import dataclass
from pathlib import Path

from headrace.core.clock import iso, now_us
from headrace.datasets.governance.retention import is_expired
from headrace.datasets.store.store import Store
from headrace.datasets.taint import taints


@dataclass(frozen=True)
class Release:
    """One line of the list; `tainted` describes the recalled batches in the release.

    `kept_until` is the end of retention, RFC 3339; "" if there is no limit; afterwards `expired` is
    True.
    """

    ref: str
    name: str
    version: str
    content_hash: str
    rows: int
    features: int
    manifest_id: str
    created_at: str
    change: str
    tainted: tuple[str, ...] = ()
    kept_until: str = ""
    expired: bool = False


def list_releases(store: Path | str | None = None) -> list[Release]:
    """Every release of a store, by name and version."""
    opened = Store.find(store)
    return [
        _line(opened, name, version) for name in opened.names() for version in opened.versions(name)
    ]


def _line(store: Store, name: str, version: str) -> Release:
    manifest = store.manifest(name, version)
    until = manifest.retention.get("until_us")
    return Release(
        ref=manifest.ref,
        name=name,
        version=version,
        content_hash=manifest.content_hash,
        rows=manifest.rows,
        features=len(manifest.features),
        manifest_id=manifest.id,
        created_at=str(store.created(name, version)["created_at"]),
        change=manifest.change,
        tainted=tuple(map(str, taints(store, manifest))),
        kept_until=iso(until) if until is not None else "",
        expired=is_expired(manifest.retention, now_us()),
    )
