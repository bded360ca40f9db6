"""Blast radius of a batch: everything downstream of its table, from the pipeline's declaration."""

from collections.abc import Iterator

from headrace.core.home import Home
from headrace.features.spec import RowTransform
from headrace.lineage.batch_holders import impact
from headrace.lineage.downstream import readers
from headrace.pipeline.definition import Pipeline
from headrace.reports.batch.model import Reach

# Labels for row transforms: computed from other features, or from columns of the spine.
FROM_THEM, FROM_ROW = "computed from these", "from the row itself"


def blast_radius(
    pipeline: Pipeline, home: Home, table: str, batch_id: str, *, published: bool
) -> Reach:
    """Return everything downstream of `table`; if published, also the releases with the batch."""
    views = tuple(_views(pipeline, table))
    uses = _uses(pipeline, table, features=sum(count for _, count in views))
    holders = impact(home, batch_id) if published else None
    return Reach(
        table=table,
        views=views,
        datasets=((pipeline.dataset.name, f"takes {uses} from it"),) if uses else (),
        models=(pipeline.model.name,) if uses else (),
        consumers=_consumers(pipeline, table),
        released=tuple(release.ref for release in holders.releases) if holders else (),
        trained=holders.models if holders else (),
    )


def _views(pipeline: Pipeline, table: str) -> Iterator[tuple[str, int]]:
    """Yield (view, number of features); row transforms are grouped by origin of their inputs."""
    stored = [v for v in pipeline.views if not isinstance(v, RowTransform) and v.table == table]
    yield from ((view.name, len(view.outputs)) for view in stored)
    reached = [name for reader in readers([pipeline], table) for name in reader["features"]]
    computed = len(reached) - sum(len(view.outputs) for view in stored)
    if computed:
        yield FROM_THEM, computed
    spine = pipeline.spine
    if spine.table == table:
        spine_columns = {*getattr(spine, "columns", ()), "t"}
        rows = [
            v
            for v in pipeline.views
            if isinstance(v, RowTransform) and spine_columns & set(v.inputs)
        ]
        if rows:
            yield FROM_ROW, len(rows)


def _uses(pipeline: Pipeline, table: str, *, features: int) -> str:
    parts = []
    if pipeline.spine.table == table:
        parts.append("its rows")
    if pipeline.label.table == table:
        parts.append("its label")
    if features:
        parts.append("features")
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _consumers(pipeline: Pipeline, table: str) -> tuple[str, ...]:
    """Return the contract's consumers other than the pipeline's own dataset and model."""
    declared = {pipeline.dataset.name, pipeline.model.name}
    return tuple(name for name in pipeline.table(table).contract.consumers if name not in declared)
