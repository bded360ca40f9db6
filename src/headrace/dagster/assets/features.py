"""Feature views as assets: one unpartitioned asset for each view, over its published table."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names, metadata
from headrace.dagster.assets.stage import StageOutcome, Upstream, stage_asset
from headrace.features.spec import Aggregate, FeatureView, Lookup

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext


def view_asset(
    pipeline: "Pipeline",
    view: FeatureView | Lookup,
    home: Callable[[], Home] = Home.find,
    *,
    deps: Upstream,
) -> dg.AssetsDefinition:
    """Return the asset of one feature view."""

    def work(where: Home, context: "BuildContext") -> StageOutcome:
        from headrace.pipeline import build_view

        return build_view(pipeline, view, where, context)

    return stage_asset(
        asset_names.view_key(view.name),
        work,
        group=asset_names.FEATURES,
        deps=deps,
        kinds={"numpy", "duckdb"},
        description=f"{len(view.outputs)} features of {view.table} by {', '.join(view.entity)}.",
        owners=asset_names.owners(pipeline.table(view.table).contract.owner),
        home=home,
        definition_metadata={
            "features": dg.MetadataValue.md(
                metadata.table(("feature", "what it is"), _feature_rows(view))
            )
        },
    )


def _feature_rows(view: FeatureView | Lookup) -> list[tuple[str, str]]:
    if isinstance(view, Lookup):
        age = f", no older than {view.max_age}" if view.max_age else ""
        return [(name, f"last known{age}") for name in view.outputs]
    descriptions = [_aggregate(feature) for feature in view.features for _ in feature.names]
    return list(zip(view.outputs, descriptions, strict=True))


def _aggregate(feature: Aggregate) -> str:
    of = f" of {', '.join(feature.columns)}" if feature.columns else ""
    filtered = " of some rows" if feature.where is not None else ""
    span = f"{feature.window.start} to {feature.window.end}"
    return f"{feature.op}{of}{filtered}, {span} from the prediction"
