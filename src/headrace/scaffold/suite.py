"""The draft of a suite from a file: what was seen, with slack."""

import math

import duckdb
import numpy as np
import pyarrow as pa

from headrace.gates.drafting import Asked, Measure, Statistics, check_text, draft_checks
from headrace.scaffold.facts import Facts, iso_day
from headrace.scaffold.templates import fill

# A first file says little of what is still to come.
_LEAST_MARGIN, _SNAPSHOT_MARGIN = 0.5, 2.0


def draft_suite(found: Facts, pipeline: str) -> str:
    """YAML for the table; every expectation holds for every day that was seen."""
    drafted = draft_checks(_statistics(found), _asked(found))
    return fill(
        "suite.yaml",
        pipeline=pipeline,
        table=found.look.ask.table_name,
        rows=f"{found.table.num_rows:,}",
        seen=_seen(found),
        share=_share(found),
        checks="\n".join(check_text(draft) for draft in drafted.kept),
    )


def _statistics(found: Facts) -> Statistics:
    names = [column.name for column in found.look.columns]
    measure = Measure(found.table.select(names).schema, [one.name for one in found.look.key])
    whole = found.look.ask.snapshot or found.look.ask.partial
    days = np.zeros(found.table.num_rows, np.int64) if whole else found.day_numbers
    slots = {int(day): iso_day(int(day)) for day in np.unique(days)}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("given", found.table.select(names).append_column("_day", pa.array(days)))
        measure.add(db, "given", "_day", slots)
    return measure.found


def _asked(found: Facts) -> Asked:
    ask, look = found.look.ask, found.look
    return Asked(
        key=tuple(one.name for one in look.key),
        skip=frozenset(one.name for one in look.times),
        entities=frozenset(one.name for one in look.entity),
        scales={one.name: one.scale for one in look.columns if one.scale},
        least_margin=_SNAPSHOT_MARGIN if ask.snapshot else _LEAST_MARGIN,
        deliveries="days",
        row_counts=not ask.partial,
        days=not (ask.snapshot or ask.partial),
    )


def _seen(found: Facts) -> str:
    if found.look.ask.snapshot or found.look.ask.partial:
        return "with slack; " + ("they pass" if found.look.ask.partial else "the file passes")
    return f"with slack; each of the {len(found.days):,} days passes"


def _share(found: Facts) -> float:
    """So great that one bad row does not stop a small delivery."""
    usual = 1 if found.look.ask.snapshot else float(np.median(found.rows_per_day))
    rows = found.table.num_rows if found.look.ask.snapshot else usual
    return min(0.5, max(0.01, math.ceil(150 / rows) / 100))
