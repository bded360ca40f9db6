"""Partitions that are due for an ingest; independent of Dagster."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from headrace.core.clock import DAY, from_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.lake.table import SNAPSHOT_SLOT, Table

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


# Published days of this age or younger are checked for changes; all days are checked once a day.
RECENT = 14 * DAY
# After this many consecutive unreadable partitions a source counts as down and is not read further.
PATIENCE = 2


def expected(pipeline: "Pipeline", table: Table, first: str = "", last: str = "") -> list[str]:
    """Return the partitions in `first`..`last` that the contract's coverage promises.

    Without a declared coverage, all partitions of the pipeline are expected.
    """
    promised = table.expected_slots() if table.contract.coverage else pipeline.slots_of(table)
    return [slot for slot in promised if first <= slot and (not last or slot <= last)]


def expected_within(pipelines: "Sequence[Pipeline]", first: str, last: str) -> dict[str, list[str]]:
    """Return {table: expected partitions} for the tables that are partitioned by day.

    Raises:
        DeclarationError: a range is given, and no table expects a delivery in it.
    """
    daily = [
        (pipeline, table)
        for pipeline in pipelines
        for table in pipeline.tables
        if table.partitioned
    ]
    slots_by_table = {
        table.name: expected(pipeline, table, first, last) for pipeline, table in daily
    }
    if (first or last) and daily and not any(slots_by_table.values()):
        expected_slots = [slot for pipeline, table in daily for slot in expected(pipeline, table)]
        range_text = " ".join(filter(None, (first and f"from {first}", last and f"to {last}")))
        if not expected_slots:
            raise DeclarationError(f"no table expects a delivery {range_text}")
        raise DeclarationError(
            f"no table expects a delivery {range_text}",
            where=f"deliveries are expected from {min(expected_slots)} to {max(expected_slots)}",
            fix=f"headrace run --from {min(expected_slots)} --to {max(expected_slots)}",
        )
    return slots_by_table


def due_slots(
    pipeline: "Pipeline",
    home: Home,
    *,
    first: str = "",
    last: str = "",
    fresh: Iterable[str] = (),
    newest: str | None = None,
) -> dict[str, list[str]]:
    """Return {table: sorted partitions to run}: those with an outstanding delivery.

    A table in `fresh` (never run) gets all its partitions, so that those without a delivery are
    reported as missing. The partition `newest` is included for the same reason.
    """
    from headrace.lake.ingest.protocol import outstanding

    slots_by_table: dict[str, list[str]] = {}
    for table in pipeline.tables:
        if not table.partitioned:
            continue
        slots = expected(pipeline, table, first, last)
        due = slots if table.name in fresh else outstanding(table, slots, home)
        slots_by_table[table.name] = sorted({*due, *(slot for slot in slots if slot == newest)})
    return slots_by_table


def arrived(pipeline: "Pipeline", home: Home, now: int, *, all_slots: bool) -> dict[str, list[str]]:
    """Return {table: sorted partitions} with outstanding deliveries that arrived by `now`.

    Unpublished partitions are always checked, published ones only while they are recent.

    Args:
        pipeline: the pipeline whose sources are read.
        home: the home with the ledger.
        now: int64 microseconds UTC. Plans are delivered a day ahead, so tomorrow is included.
        all_slots: True to check all partitions, however old.
    """
    from headrace.lake.ingest.protocol import outstanding

    slots_by_table: dict[str, list[str]] = {}
    for table in pipeline.tables:
        slots = _looked_at(pipeline, table, home, now, all_slots=all_slots)
        # Newest days first: they are the most urgent if the source is down.
        if due := outstanding(table, slots[::-1], home, patience=PATIENCE):
            slots_by_table[table.name] = due[::-1]
    return slots_by_table


def _looked_at(
    pipeline: "Pipeline", table: Table, home: Home, now: int, *, all_slots: bool
) -> list[str]:
    from headrace.lake.ledger.ledger import Ledger

    if not table.partitioned:
        return [SNAPSHOT_SLOT]
    slots = expected(pipeline, table, last=from_us(now + DAY).date().isoformat())
    if all_slots:
        return slots
    since = from_us(now - RECENT).date().isoformat()
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name).values()
        published = {batch.slot for batch in batches if batch.state == "published"}
    return [slot for slot in slots if slot >= since or slot not in published]
