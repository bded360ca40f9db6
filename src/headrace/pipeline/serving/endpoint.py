"""HTTP endpoint of a pipeline: service, model, log and lag."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from headrace.core.clock import SECOND, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.serving.services import (
    feature_service,
    online_service,
    served_log,
    store_exists,
)
from headrace.serving.http import ApiKeys, Endpoint, Lag, Scorer, Service

From: TypeAlias = Literal["auto", "tables", "store"]
SOURCES = get_args(From)


def endpoint(
    pipeline: Pipeline, home: Home, *, keys: ApiKeys, log_share: float, source: From = "auto"
) -> Endpoint:
    """The endpoint of a pipeline over what lies under `home`.

    Args:
        pipeline: whose spine, views and model are served.
        home: where the tables, the store, the models and the served log are.
        keys: that open it; without any it is open to all.
        log_share: of the entities, 0 to 1, whose answers are logged; at 0 there is no log.
        source: `tables`, `store`, or whichever is there, the store first.
    """
    service = chosen_service(pipeline, home, source)
    return Endpoint(
        name=pipeline.name,
        service=service,
        views=pipeline.views,
        quick=_is_embedded(service),  # it answers from memory
        keys=keys,
        scorer=Scorer(home, pipeline.model.name),
        log=served_log(pipeline, home, share=log_share) if log_share else None,
        lags=_Lags(home, service),
    )


def chosen_service(pipeline: Pipeline, home: Home, source: From) -> Service:
    """The service over the online store, where one is materialised, or over the tables.

    Raises:
        DeclarationError: there is no such source.
    """
    if source not in SOURCES:
        raise DeclarationError(f"no source {source!r}", fix=f"one of {', '.join(SOURCES)}")
    if source == "store" or (source == "auto" and _is_filled(pipeline, home)):
        return online_service(pipeline, home)
    return feature_service(pipeline, home)


def _is_embedded(service: Service) -> bool:
    from headrace.serving.online import LmdbStore

    return isinstance(getattr(service, "store", None), LmdbStore)


def _is_filled(pipeline: Pipeline, home: Home) -> bool:
    """Return True if the online store holds rows of every table."""
    if not store_exists(pipeline, home):
        return False
    service = online_service(pipeline, home)
    try:
        service.frontier()
    except StateError:
        return False
    finally:
        service.store.close()
    return True


@dataclass(frozen=True)
class _Lags:
    """Lag of the service behind the published tables; each call reads it again."""

    home: Home
    service: Service

    def __call__(self) -> Iterator[Lag]:
        lake, now = Lake(self.home), now_us()
        try:
            frontier = self.service.frontier()
        except StateError:  # nothing was published, which readiness says
            return
        for table, snapshot in frontier.items():
            plan = lake.plan(table)
            commits = plan.committed_at if plan else {}
            committed_at = commits.get(snapshot, min(commits.values(), default=now))
            later = [moment for moment in commits.values() if moment > committed_at]
            behind = now - min(later) if later else 0
            yield Lag(table, (now - committed_at) / SECOND, behind / SECOND)
