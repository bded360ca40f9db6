"""Online store of the rows that each entity's features need; commits and streams update it."""

from typing import TYPE_CHECKING, Any

from headrace.serving.online.apply import Applied, apply
from headrace.serving.online.layout import Layout, layout_of
from headrace.serving.online.retention import retain
from headrace.serving.online.staleness import StaleError, Staleness
from headrace.serving.online.stores.lmdb_store import LmdbStore
from headrace.serving.online.stores.memory import MemoryStore
from headrace.serving.online.stores.port import Reader, Store, Writer
from headrace.serving.online.stores.redis_store import RedisStore

if TYPE_CHECKING:
    from headrace.serving.online.commits import materialise
    from headrace.serving.online.service import OnlineService

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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any attribute
    """Import `OnlineService` and `materialise` on first use; `apply` needs neither."""
    if name == "OnlineService":
        from headrace.serving.online.service import OnlineService

        return OnlineService
    if name == "materialise":
        from headrace.serving.online.commits import materialise

        return materialise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
