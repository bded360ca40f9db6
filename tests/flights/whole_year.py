"""Run as a program: the year of flights through the core, without Dagster, into a home."""

import sys
from pathlib import Path

from headrace.home import Home
from pipelines.flights import pipeline as flights
from tests.flights.short_range import build_all, ingest_all, opened


def main(deliveries: Path, root: Path) -> None:
    home = Home(root)
    with opened(deliveries, flights) as pipeline:
        ingest_all(pipeline, home)
        build_all(pipeline, home)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
