"""Statistics of all tables' published batches, computed from stored profiles."""

from collections.abc import Iterator

from headrace.lake.ledger.ledger import Ledger
from headrace.lake.table import Table
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.profiles import Daily
from headrace.monitoring.profiles.table_profiles import table_daily
from headrace.pipeline.build_context import BuildContext
from headrace.sketches import Sketches

_HEAD = (
    "| table | rows | column | null | distinct | least | median | greatest |\n"
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
)


def tables_told(context: BuildContext, window: Window) -> str:
    """Return a Markdown table with the statistics of every column in one window."""
    return "\n".join([_HEAD, *_lines(context, window)])


def _lines(context: BuildContext, window: Window) -> Iterator[str]:
    for table in context.pipeline.tables:
        daily = published_daily(context, table, window)
        rows = f"{int(daily.rows.sum()):,}"
        for name, sketch in daily.roll(window.first, window.end).items():
            yield f"| {table.name} | {rows} | {name} | {' | '.join(_cells(sketch))} |"


def published_daily(context: BuildContext, table: Table, window: Window) -> Daily:
    """Return the daily profiles of a table's published batches in a window."""
    with Ledger(context.home) as ledger:
        ledger_batches = ledger.batches(table.name)
    days = set(window.slots)
    live = context.batches[table.name]
    slots = {
        batch_id: ledger_batches[batch_id].slot for batch_id in live if batch_id in ledger_batches
    }
    batches = {batch_id: slot for batch_id, slot in slots.items() if slot in days}
    return table_daily(context.home, table.name, batches)


def _cells(sketch: Sketches) -> list[str]:
    null = int(sketch.nulls[0]) / max(int(sketch.rows[0]), 1)
    middle = sketch.quantile(0.5)
    numbers = ["", "", ""]
    if middle is not None:
        low, high = sketch.bounds()
        numbers = [f"{value:.6g}" for value in (low, middle, high)]
    return [f"{null:.1%}", f"{sketch.distinct():.0f}", *numbers]
