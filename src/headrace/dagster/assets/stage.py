"""An unpartitioned stage as an asset: what features, releases and models have in common."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import metadata
from headrace.dagster.failures import readable
from headrace.dagster.sensors.recovery import mark


class Built(Protocol):
    """What a stage did: plain values to show, and whether anything changed."""

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def changed(self) -> bool: ...


def stage_asset(
    key: dg.AssetKey,
    work: Callable[[Home], Built],
    *,
    group: str,
    deps: Iterable[dg.AssetKey],
    kinds: set[str],
    description: str,
    owners: Iterable[str],
    home: Callable[[], Home],
    about: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> dg.AssetsDefinition:
    """An asset that does `work` over everything published so far."""

    @dg.asset(
        key=key,
        deps=list(deps),
        group_name=group,
        description=description,
        kinds=kinds,
        owners=list(owners),
        metadata=about,
    )
    def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        mark(context)
        with readable():
            done = work(home())
        return dg.MaterializeResult(metadata=shown(done))

    return stage


def shown(done: Built) -> dict[str, Any]:
    return {**metadata.built(done.metadata), "changed": done.changed}
