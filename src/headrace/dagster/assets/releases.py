"""Dataset releases as assets: `name@version`, immutable once written."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.assets.stage import Built, stage_asset

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext


def release_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> dg.AssetsDefinition:
    """Return the asset of the pipeline's dataset release."""

    def work(where: Home, context: "BuildContext") -> Built:
        from headrace.pipeline import build_release

        return build_release(pipeline, where, context)

    return stage_asset(
        asset_names.release_key(pipeline.dataset.name),
        work,
        group=asset_names.DATASETS,
        deps=_inputs(pipeline),
        kinds={"parquet", "dataset"},
        description=pipeline.dataset.description
        or f'Training data: `headrace.open("{pipeline.dataset.name}@latest")`.',
        owners=asset_names.owners(pipeline.tables[0].contract.owner),
        home=home,
    )


def _inputs(pipeline: "Pipeline") -> list[dg.AssetKey]:
    """Views, and the tables that the spine and the label read themselves."""
    views = [asset_names.view_key(view.name) for view in asset_names.stored(pipeline.views)]
    return [
        *views,
        *(asset_names.table_key(t) for t in {pipeline.spine.table, pipeline.label.table}),
    ]
