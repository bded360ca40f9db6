"""The online store: what features need of each entity, kept up to date by commits and streams."""

from typing import TYPE_CHECKING, Any

from headrace.online.apply import Applied, apply
from headrace.online.layout import Layout, layout_of
from headrace.online.lmdb_store import LmdbStore
from headrace.online.memory import MemoryStore
from headrace.online.port import Reader, Store, Writer
from headrace.online.redis_store import RedisStore
from headrace.online.retention import retain
from headrace.online.staleness import StaleError, Staleness

if TYPE_CHECKING:
    from headrace.online.commits import materialise
    from headrace.online.service import OnlineService

__all__ = [
    "Applied",
    "Layout",
    "LmdbStore",
    "MemoryStore",
    "OnlineService",
    "Reader",
    "RedisStore",
    "StaleError",
    "Staleness",
    "Store",
    "Writer",
    "apply",
    "layout_of",
    "materialise",
    "retain",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    """Serving is imported when it is used: filling a store needs none of it."""
    if name == "OnlineService":
        from headrace.online.service import OnlineService

        return OnlineService
    if name == "materialise":
        from headrace.online.commits import materialise

        return materialise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
