"""A process that runs the ingest job and is killed while it fetches one day's delivery."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from shop_pipeline import shop_pipeline

from headrace.core.home import Home
from headrace.dagster import definitions
from headrace.dagster.execute import ingest_due
from headrace.dagster.instance import open_instance, prepare


class Trap:
    """A source that kills its own process when it is asked for `slot`."""

    def __init__(self, source, slot: str) -> None:
        self.source, self.slot, self.name = source, slot, source.name
        self.asked = False

    def deliveries(self, slot: str):
        # `outstanding` asks before the run begins: only a run may be killed here.
        if slot == self.slot and self.asked:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.source.deliveries(slot)


def main(folder: Path, root: Path, slot: str) -> None:
    pipeline = shop_pipeline(folder)
    visits = next(table for table in pipeline.tables if table.name == "visits")
    trap = Trap(visits.source, slot)
    tables = [replace(t, source=trap) if t.name == "visits" else t for t in pipeline.tables]
    pipeline = replace(pipeline, tables=tuple(tables))
    home = Home(root)
    prepare(home, root)
    with open_instance(home) as instance:
        defs = definitions(pipeline, home=lambda: home)
        trap.asked = True
        ingest_due(defs, pipeline, home, instance)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
