"""Time semantic change detection on daily batches: `python -m bench.gates_meaning [DAYS]`.

The first days of every daily table of the flights are compared with the days before them, as in an
ingest: profile, comparison with the history, findings. Prints JSON: for each table the median of
the seconds over the days that have enough history, and the median rows of such a day.
"""

import json
import os
import sys
import time
from dataclasses import replace
from itertools import islice
from statistics import median

from bench.year import deliveries
from headrace.contracts import conform
from headrace.contracts.drift import Baseline, examine, glance_at
from headrace.contracts.drift.detect import LEAST_HISTORY
from headrace.core.home import default_root
from headrace.lake.table import Table
from headrace.pipeline.load import slots_of, table_groups
from headrace.verification.injected_faults.project import batches

GROUP, DAYS = "flights", 30  # number of timed days, which follow the days of the history


def of_table(table: Table, days: int) -> dict[str, float]:
    reference = Baseline()
    seconds, rows = [], []
    slots = islice(slots_of(GROUP, table), LEAST_HISTORY + days)
    for slot, delivered in batches(table, slots):
        conformed = conform(table.contract, delivered, slot)
        start = time.perf_counter()
        glance = glance_at(table.contract, delivered, conformed, slot)
        look, profile = glance.look(table.contract), glance.profile
        seen = examine(look, reference, glance.text)
        took = time.perf_counter() - start
        if reference.batches >= LEAST_HISTORY:
            seconds.append(took)
            rows.append(look.rows)
        reference.add(replace(profile, marks=seen.marks))
    return {"seconds": median(seconds), "least": min(seconds), "rows": median(rows)}


def main() -> None:
    # The pipeline reads the variable when `deliveries` imports it.
    os.environ["FLIGHTS_DELIVERIES"] = str(default_root() / "bench" / "deliveries")
    deliveries()
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DAYS
    tables = table_groups()[GROUP]
    print(json.dumps({t.name: of_table(t, days) for t in tables if t.partitioned}))


if __name__ == "__main__":
    main()
