"""Which slots a run has to look at. Nothing here knows of Dagster."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from headrace.core.clock import DAY, from_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.lake.table import SNAPSHOT_SLOT, Table

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


# What changed of days that are published is looked for among so many; of all of them once a day.
RECENT = 14 * DAY
# Slots in a row that cannot be read before a source counts as down, and is left alone for a while.
PATIENCE = 2


def expected(pipeline: "Pipeline", table: Table, first: str = "", last: str = "") -> list[str]:
    """The slots that the contract promises, within `first`..`last`; all if it promises none."""
    promised = table.expected_slots() if table.contract.coverage else pipeline.slots_of(table)
    return [slot for slot in promised if first <= slot and (not last or slot <= last)]


def expected_within(pipelines: "Sequence[Pipeline]", first: str, last: str) -> dict[str, list[str]]:
    """{table: slots to look at} of the tables that are delivered by the day.

    Raises:
        DeclarationError: a range is named, and no table expects anything in it.
    """
    daily = [
        (pipeline, table)
        for pipeline in pipelines
        for table in pipeline.tables
        if table.partitioned
    ]
    found = {table.name: expected(one, table, first, last) for one, table in daily}
    if (first or last) and daily and not any(found.values()):
        every = [slot for one, table in daily for slot in expected(one, table)]
        asked = " ".join(filter(None, (first and f"from {first}", last and f"to {last}")))
        if not every:
            raise DeclarationError(f"no table expects a delivery {asked}")
        raise DeclarationError(
            f"no table expects a delivery {asked}",
            where=f"deliveries are expected from {min(every)} to {max(every)}",
            fix=f"headrace run --from {min(every)} --to {max(every)}",
        )
    return found


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
    from headrace.lake.ingest.protocol import outstanding

    found: dict[str, list[str]] = {}
    for table in pipeline.tables:
        if not table.partitioned:
            continue
        slots = expected(pipeline, table, first, last)
        due = slots if table.name in fresh else outstanding(table, slots, home)
        found[table.name] = sorted({*due, *(slot for slot in slots if slot == newest)})
    return found


def arrived(pipeline: "Pipeline", home: Home, now: int, *, whole: bool) -> dict[str, list[str]]:
    """{table: slots}, in order: deliveries that came by `now` and are not settled.

    Slots that were never published are always looked at, published ones while they are recent.

    Args:
        pipeline: whose sources are asked.
        home: where the state lives.
        now: int64 microseconds UTC. A plan is delivered the day before: tomorrow is looked at too.
        whole: look at all slots, however long ago.
    """
    from headrace.lake.ingest.protocol import outstanding

    found: dict[str, list[str]] = {}
    for table in pipeline.tables:
        slots = _looked_at(pipeline, table, home, now, whole=whole)
        # The newest first: of a source that is down these are the days that somebody waits for.
        if due := outstanding(table, slots[::-1], home, patience=PATIENCE):
            found[table.name] = due[::-1]
    return found


def _looked_at(
    pipeline: "Pipeline", table: Table, home: Home, now: int, *, whole: bool
) -> list[str]:
    from headrace.lake.ledger.ledger import Ledger

    if not table.partitioned:
        return [SNAPSHOT_SLOT]
    slots = expected(pipeline, table, last=from_us(now + DAY).date().isoformat())
    if whole:
        return slots
    since = from_us(now - RECENT).date().isoformat()
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name).values()
        published = {batch.slot for batch in batches if batch.state == "published"}
    return [slot for slot in slots if slot >= since or slot not in published]
