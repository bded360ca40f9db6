"""What reads a table, along a pipeline's declaration: the blast radius of a batch."""

from collections.abc import Iterator

from headrace.core.home import Home
from headrace.features.spec import RowTransform
from headrace.lineage.batch_holders import impact
from headrace.lineage.downstream import readers
from headrace.pipeline.definition import Pipeline
from headrace.reports.batch.model import Reach

# Features that no view stores: computed from those of the views, or from the spine's columns.
FROM_THEM, FROM_ROW = "computed from these", "from the row itself"


def blast_radius(
    pipeline: Pipeline, home: Home, table: str, batch_id: str, *, published: bool
) -> Reach:
    """What is downstream of `table`; of a published batch also what was released with it."""
    views = tuple(_views(pipeline, table))
    uses = _uses(pipeline, table, features=sum(count for _, count in views))
    held = impact(home, batch_id) if published else None
    return Reach(
        table=table,
        views=views,
        datasets=((pipeline.dataset.name, f"takes {uses} from it"),) if uses else (),
        models=(pipeline.model.name,) if uses else (),
        consumers=_consumers(pipeline, table),
        released=tuple(release.ref for release in held.releases) if held else (),
        trained=held.models if held else (),
    )


def _views(pipeline: Pipeline, table: str) -> Iterator[tuple[str, int]]:
    """Views with how many features each has; transforms by what they are computed from."""
    stored = [v for v in pipeline.views if not isinstance(v, RowTransform) and v.table == table]
    yield from ((view.name, len(view.outputs)) for view in stored)
    reached = [name for reader in readers([pipeline], table) for name in reader["features"]]
    computed = len(reached) - sum(len(view.outputs) for view in stored)
    if computed:
        yield FROM_THEM, computed
    spine = pipeline.spine
    if spine.table == table:
        own = {*getattr(spine, "columns", ()), "t"}
        rows = [v for v in pipeline.views if isinstance(v, RowTransform) and own & set(v.inputs)]
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
    """Those that the contract names besides the pipeline's own dataset and model."""
    own = {pipeline.dataset.name, pipeline.model.name}
    return tuple(name for name in pipeline.table(table).contract.consumers if name not in own)
