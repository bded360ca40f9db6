"""Factory of the unpartitioned assets: features, releases and models.

The stages of a run share one build context, a Dagster resource: it is created when the first stage
needs it, and ends with the run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import metadata
from headrace.dagster.failures import readable
from headrace.dagster.sensors.recovery import mark

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext

Upstream = Sequence[dg.AssetsDefinition | dg.AssetSpec]  # assets that an asset reads
CONTEXT = "build_context"  # the resource: a function that returns the build context of the run


class StageOutcome(Protocol):
    """Outcome of a stage: metadata for Dagster, and a flag that is True if anything changed."""

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def changed(self) -> bool: ...


def build_resources(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> dict[str, dg.ResourceDefinition]:
    """Return the resources that the stages of a pipeline need: one build context for each run."""

    @dg.resource(description="The published tables, read once for all stages of a run.")
    def build_context(_: dg.InitResourceContext) -> "Callable[[], BuildContext]":
        @cache
        def context() -> "BuildContext":
            from headrace.pipeline.build_context import BuildContext

            return BuildContext(pipeline, home())

        return context

    return {CONTEXT: build_context}


def stage_asset(
    key: dg.AssetKey,
    work: "Callable[[Home, BuildContext], StageOutcome]",
    *,
    group: str,
    deps: Upstream,
    kinds: set[str],
    description: str,
    owners: Iterable[str],
    home: Callable[[], Home],
    definition_metadata: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> dg.AssetsDefinition:
    """Return an unpartitioned asset whose materialisation calls `work`."""

    @dg.asset(
        key=key,
        deps=deps,
        group_name=group,
        description=description,
        kinds=kinds,
        owners=list(owners),
        metadata=definition_metadata,
        required_resource_keys={CONTEXT},
    )
    def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        mark(context)
        with readable():
            built = work(home(), getattr(context.resources, CONTEXT)())
        return dg.MaterializeResult(metadata=stage_metadata(built))

    return stage


def stage_metadata(built: StageOutcome) -> dict[str, Any]:
    return {**metadata.built(built.metadata), "changed": built.changed}
