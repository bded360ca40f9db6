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
    parts = [(part, _uses(part, table)) for part in pipeline.each_dataset()]
    reading = [(part, uses) for part, uses in parts if uses]
    holders = impact(home, batch_id) if published else None
    return Reach(
        table=table,
        views=views,
        datasets=tuple((part.dataset.name, f"takes {uses} from it") for part, uses in reading),
        models=tuple(model.name for part, _ in reading for model in part.models),
        consumers=_consumers(pipeline, table),
        released=tuple(release.ref for release in holders.releases) if holders else (),
        trained=holders.models if holders else (),
    )


def _views(pipeline: Pipeline, table: str) -> Iterator[tuple[str, int]]:
    """Yield (view, number of features); row transforms are grouped by origin of their inputs."""
    stored = [v for v in pipeline.views if not isinstance(v, RowTransform) and v.table == table]
    yield from ((view.name, len(view.outputs)) for view in stored)
    reached = {name for reader in readers([pipeline], table) for name in reader["features"]}
    computed = len(reached) - sum(len(view.outputs) for view in stored)
    if computed > 0:
        yield FROM_THEM, computed
    spines = [pipeline.spine_of(dataset) for dataset in pipeline.datasets]
    columns = {name for spine in spines if spine.table == table for name in (*spine.columns, "t")}
    rows = [v for v in pipeline.views if isinstance(v, RowTransform) and columns & set(v.inputs)]
    if rows:
        yield FROM_ROW, len(rows)


def _uses(pipeline: Pipeline, table: str) -> str:
    """Return what the pipeline's only dataset takes from the table, in words; empty if nothing."""
    features = any(count for _, count in _views(pipeline, table))
    parts = []
    if pipeline.spine.table == table:
        parts.append("its rows")
    if pipeline.label.table == table:
        parts.append("its label")
    if features:
        parts.append("features")
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _consumers(pipeline: Pipeline, table: str) -> tuple[str, ...]:
    """Return the contract's consumers other than the pipeline's own datasets and models."""
    declared = {dataset.name for dataset in pipeline.datasets}
    declared |= {model.name for model in pipeline.models}
    return tuple(name for name in pipeline.table(table).contract.consumers if name not in declared)
