"""Which slots a run has to look at. Nothing here knows of Dagster."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headrace.home import Home
from headrace.lake.table import Table

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


def expected(pipeline: "Pipeline", table: Table, first: str = "", last: str = "") -> list[str]:
    """The slots that the contract promises, within `first`..`last`; all if it promises none."""
    promised = table.expected_slots() if table.contract.coverage else pipeline.slots_of(table)
    return [slot for slot in promised if first <= slot and (not last or slot <= last)]


def due_slots(
    pipeline: "Pipeline",
    home: Home,
    *,
    first: str = "",
    last: str = "",
    fresh: Iterable[str] = (),
    newest: str | None = None,
) -> dict[str, list[str]]:
    """{table: slots to run}, in order: those with a delivery that is not settled.

    A table in `fresh`, of which nothing was ever run, gets all its slots, so that those without a
    delivery are seen to be missing. `newest` is looked at for the same reason.
    """
    from headrace.lake.ingest import outstanding

    found: dict[str, list[str]] = {}
    for table in pipeline.tables:
        if not table.partitioned:
            continue
        slots = expected(pipeline, table, first, last)
        due = slots if table.name in fresh else outstanding(table, slots, home)
        found[table.name] = sorted({*due, *(slot for slot in slots if slot == newest)})
    return found
