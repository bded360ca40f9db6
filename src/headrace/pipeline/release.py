"""Release of a dataset on demand, without the other stages of a build."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from headrace.core.home import Home
from headrace.datasets.store.listing import list_releases
from headrace.datasets.version import UNCHANGED
from headrace.pipeline.build import pinned_release
from headrace.pipeline.definition import Pipeline

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest


@dataclass(frozen=True)
class Released:
    """Summary of a release or, for a dry run, of the release that would be made.

    Attributes:
        change: FIRST, MAJOR, MINOR, PATCH; NONE if nothing changed since the release `ref`.
        reasons: descriptions of the changes that determine the version.
        previous: manifest id of the previous release; None if there is none.
        unchanged: True if `ref` existed already and nothing has changed since.
        dry_run: True if nothing was written.
    """

    ref: str
    change: str
    reasons: tuple[str, ...]
    content_hash: str
    rows: int
    previous: str | None
    unchanged: bool
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons)}


def release_now(pipeline: Pipeline, home: Home, *, dry_run: bool = False) -> Released:
    """Release the dataset of a pipeline from its published tables.

    Errors are those of `headrace.datasets.release_writer`.
    """
    before = {release.ref for release in list_releases(home.store)}
    manifest = pinned_release(pipeline, home, dry_run=dry_run)
    return _summary(manifest, unchanged=manifest.ref in before, dry_run=dry_run)


def _summary(manifest: "Manifest", *, unchanged: bool, dry_run: bool) -> Released:
    return Released(
        ref=manifest.ref,
        change="NONE" if unchanged else manifest.change,
        reasons=(UNCHANGED,) if unchanged else manifest.reasons,
        content_hash=manifest.content_hash,
        rows=manifest.rows,
        previous=manifest.previous,
        unchanged=unchanged,
        dry_run=dry_run,
    )
