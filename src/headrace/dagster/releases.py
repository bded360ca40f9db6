"""Dataset releases as assets: `name@version`, immutable once written."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.dagster import names
from headrace.dagster.stage import Built, stage_asset
from headrace.home import Home

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


def release_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> dg.AssetsDefinition:
    def work(where: Home) -> Built:
        from headrace.pipeline import build_release

        return build_release(pipeline, where)

    return stage_asset(
        names.release_key(pipeline.dataset.name),
        work,
        group=names.DATASETS,
        deps=_inputs(pipeline),
        kinds={"parquet", "dataset"},
        description=pipeline.dataset.description
        or f'Training data: `headrace.open("{pipeline.dataset.name}@latest")`.',
        owners=names.owners(pipeline.tables[0].contract.owner),
        home=home,
    )


def _inputs(pipeline: "Pipeline") -> list[dg.AssetKey]:
    """Views, and the tables that the spine and the label read themselves."""
    views = [names.view_key(view.name) for view in names.stored(pipeline.views)]
    return [*views, *(names.table_key(t) for t in {pipeline.spine.table, pipeline.label.table})]
