"""Sources of the flights tables, by table. Environment variables can set every address.

FLIGHTS_DELIVERIES    folder of the demonstration's deliveries (default: under HEADRACE_HOME)
FLIGHTS_FEED_URL      the airport's feed (default: the demonstration's server, started when needed)
FLIGHTS_DATABASE_URL  SQLAlchemy URL of the reference tables (default: the demonstration's SQLite)
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.core.home import default_root
from headrace.sources.base import Delivery, Source
from headrace.sources.files import DropFolder
from headrace.sources.http import CursorApi
from headrace.sources.sql import TableSnapshot

AIRPORT = "airport-operations"


def deliveries_folder() -> Path:
    return Path(os.environ.get("FLIGHTS_DELIVERIES") or default_root() / "deliveries" / "flights")


def daily(folder: Path) -> dict[str, Source]:
    """Return the source of each table that is delivered day by day."""
    return {
        "schedule": schedule(folder),
        "outcomes": feed("outcomes", folder, 1000),
        "weather": feed("weather", folder, 50),
    }


def snapshots(folder: Path) -> dict[str, Source]:
    """Return the source of each table that is delivered whole."""
    return {
        "planes": reference("planes", "tailnum", folder),
        "airlines": reference("airlines", "carrier", folder),
        "airports": reference("airports", "faa", folder),
    }


def schedule(folder: Path) -> Source:
    return DropFolder("schedule", folder / "drop", "schedule_{slot}*.csv", "timetable-office")


def feed(name: str, folder: Path, page_size: int) -> Source:
    """Return the source that reads the feed's `name` endpoint, outcomes or weather, day by day."""
    return Feed(name, folder, os.environ.get("FLIGHTS_FEED_URL", ""), page_size)


def reference(table: str, key: str, folder: Path) -> Source:
    url = os.environ.get("FLIGHTS_DATABASE_URL") or f"sqlite:///{folder / 'reference.db'}"
    return TableSnapshot(table, url, table, (key,), "registry")


@dataclass(frozen=True)
class Feed:
    """Source of the feed at `url`, or of the demonstration's server over `folder` without a URL."""

    name: str
    folder: Path
    url: str
    page_size: int
    _apis: dict[str, CursorApi] = field(default_factory=dict, compare=False, repr=False)

    def deliveries(self, slot: str) -> list[Delivery]:
        path = f"/v1/{self.name}"
        url = self.url or _local_feed(self.folder)
        if url not in self._apis:
            self._apis[url] = CursorApi(
                self.name, url, path, {"day": "{slot}"}, AIRPORT, self.page_size
            )
        # The origin names the partition, not the host, so that a feed with a new address does not
        # deliver everything again.
        return [
            replace(delivery, origin=f"{path}?day={slot}")
            for delivery in self._apis[url].deliveries(slot)
        ]


def _local_feed(folder: Path) -> str:
    from demo.flights.local_feed import local_feed

    return local_feed(folder)
