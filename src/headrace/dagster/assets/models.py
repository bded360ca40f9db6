"""Models as assets: trained on the latest release."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.assets.stage import StageOutcome, Upstream, stage_asset

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext

_KINDS = {"sklearn": "scikitlearn", "trainer": "python"}  # by the kind of learner


def model_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find, *, deps: Upstream
) -> dg.AssetsDefinition:
    """Return the asset of the pipeline's model.

    Each materialisation trains on the latest release and compares the model with the champion.
    """

    def work(where: Home, _: "BuildContext") -> StageOutcome:
        from headrace.pipeline import train_model

        return train_model(pipeline, where)

    return stage_asset(
        asset_names.model_key(pipeline.model.name),
        work,
        group=asset_names.MODELS,
        deps=deps,
        kinds={"lightgbm" if (code := pipeline.model.code) is None else _KINDS[code.kind]},
        description=f"Trained on {pipeline.dataset.name}; a pointer names the champion version.",
        owners=asset_names.owners(pipeline.tables[0].contract.owner),
        home=home,
    )
