"""Dataset releases as assets: `name@version`, immutable once written."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.assets.stage import StageOutcome, Upstream, stage_asset

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext


def release_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find, *, deps: Upstream
) -> dg.AssetsDefinition:
    """Return the asset of the pipeline's dataset versions.

    `deps` are the views, and the tables of the spine and the label.
    """

    def work(where: Home, context: "BuildContext") -> StageOutcome:
        from headrace.pipeline import build_release

        return build_release(pipeline, where, context)

    return stage_asset(
        asset_names.release_key(pipeline.dataset.name),
        work,
        group=asset_names.DATASETS,
        deps=deps,
        kinds={"parquet", "dataset"},
        description=pipeline.dataset.description
        or f'Training data: `headrace.open("{pipeline.dataset.name}@latest")`.',
        owners=asset_names.owners(pipeline.tables[0].contract.owner),
        home=home,
    )
