"""The feed's server in this process, for a pipeline without a configured feed."""

import atexit
import threading
from pathlib import Path

from demo.flights.feed_server import FeedServer
from headrace.core.errors import SourceError

_SERVERS: dict[Path, str] = {}
_LOCK = threading.Lock()


def local_feed(folder: Path) -> str:
    """Return the URL of the demonstration's server over `folder`; a process has at most one.

    Raises:
        SourceError: there are no deliveries to serve.
    """
    with _LOCK:
        if folder not in _SERVERS:
            if not (folder / "feed.sqlite").exists():
                raise SourceError(
                    "no feed is configured, and the demonstration's deliveries are not there",
                    where=str(folder),
                    fix="set FLIGHTS_FEED_URL, or make the deliveries: headrace demo",
                )
            server = FeedServer(folder)
            server.__enter__()
            atexit.register(server.__exit__, None, None, None)
            _SERVERS[folder] = server.url
        return _SERVERS[folder]
