"""HTTP endpoint of a pipeline: feature service, model, served log and lag."""

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
    """Build the endpoint of a pipeline.

    Args:
        pipeline: pipeline whose spine, views and model are served.
        home: home folder with the tables, the online store, the models and the served log.
        keys: API keys; if there are none, every request is accepted.
        log_share: share of the entities, 0 to 1, whose answers are logged; 0 for no log.
        source: `tables`, `store`, or `auto`: the online store if it is materialised, else the
            tables.
    """
    service = chosen_service(pipeline, home, source)
    return Endpoint(
        name=pipeline.name,
        service=service,
        views=pipeline.views,
        quick=_is_embedded(service),  # an embedded store answers from memory
        keys=keys,
        scorer=Scorer(home, pipeline.model.name, pipeline.model.kind),
        log=served_log(pipeline, home, share=log_share) if log_share else None,
        lags=_Lags(home, service),
    )


def chosen_service(pipeline: Pipeline, home: Home, source: From) -> Service:
    """Return the service for a source; `auto` prefers the online store if it is materialised.

    Raises:
        DeclarationError: the source is unknown.
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
    """Return True if the online store is materialised for every table."""
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
    """Function that computes the service's current lag behind each published table."""

    home: Home
    service: Service

    def __call__(self) -> Iterator[Lag]:
        lake, now = Lake(self.home), now_us()
        try:
            frontier = self.service.frontier()
        except StateError:  # nothing is published; the readiness check reports that
            return
        for table, snapshot in frontier.items():
            plan = lake.plan(table)
            commits = plan.committed_at if plan else {}
            committed_at = commits.get(snapshot, min(commits.values(), default=now))
            later = [moment for moment in commits.values() if moment > committed_at]
            behind = now - min(later) if later else 0
            yield Lag(table, (now - committed_at) / SECOND, behind / SECOND)
