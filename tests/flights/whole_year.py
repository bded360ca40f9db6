"""Run as a program: the year of flights through the core, without Dagster, into a home."""

import sys
from dataclasses import replace
from pathlib import Path

from headrace.core.home import Home
from pipelines.flights import pipeline as flights
from tests.flights.short_range import build_all, ingest_all, opened


def main(deliveries: Path, root: Path) -> None:
    home = Home(root)
    with opened(deliveries, flights) as pipeline:
        ingest_all(pipeline, home)
        # No test looks at how good the model is, and its rounds are a quarter of the whole.
        model = replace(pipeline.model, num_rounds=3, bootstrap=50)
        build_all(replace(pipeline, model=model), home)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
