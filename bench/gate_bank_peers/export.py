"""Deliveries of a table as files, for peers that run in environments of their own.

`TABLE.parquet` holds the rows of all deliveries that could be loaded, with the number of the
delivery in the column `_unit`. `TABLE.json` says which deliveries are clean, and holds the figures
of the days in which faults are injected, with those of the window before.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.gate_bank_peers.batches import Batch
from bench.gate_bank_peers.figures import Layout, Measured, Window
from headrace.core.files import write_atomically

LEVEL = "#level"  # suffix of a copy of a column as text
# Metrics of Soda: it has no quantiles, and its duplicate count is about rows minus distinct values.
SODA = frozenset({
    "row_count", "missing_percent", "null_percent", "average", "min", "max", "standard_deviation",
    "average_length", "min_length", "max_length", "distinct_count",
})  # fmt: skip


class Export:
    """Collector of the deliveries of a table."""

    def __init__(self, folder: Path, table: str) -> None:
        self.folder, self.table = folder, table
        self.batches: list[tuple[int, Batch]] = []
        self.units: list[dict[str, Any]] = []
        self.histories: dict[str, dict[str, Any]] = {}
        self.dates: list[str] = []

    def add(self, batch: Batch, unit: int, day: str, *, altered: bool) -> None:
        self.batches.append((unit, batch))
        self.units.append({"unit": unit, "day": day, "altered": altered})
        if not altered:
            self.dates.append(day)

    def start(self, day: str, window: Window) -> None:
        """Note the window before a day in which faults are injected."""
        figures = window.layout.figures
        places = [at for at, figure in enumerate(figures) if figure.statistic in SODA]
        history = window.matrix()[:, places]
        dates = [date for date in self.dates if date < day]
        self.histories[day] = {
            "days": dates[-len(history) :],
            "figures": [[figures[at].statistic, figures[at].column] for at in places],
            "series": [[_plain(value) for value in series] for series in history.T],
            "values": {},
            "places": places,
        }

    def note(self, unit: int, day: str, measured: Measured) -> None:
        """Note the figures of a delivery of such a day."""
        if day in self.histories:
            history = self.histories[day]
            values = [_plain(measured.figures[at]) for at in history["places"]]
            history["values"][str(unit)] = values

    def write(self, layout: Layout, clock: tuple[str, ...]) -> None:
        parts = [_plain_columns(batch, unit, layout) for unit, batch in self.batches]
        pq.write_table(pa.concat_tables(parts), self.folder / f"{self.table}.parquet")
        document = {
            "table": self.table,
            "roles": layout.roles,
            "clock": clock,
            "units": self.units,
            "histories": self.histories,
        }
        write_atomically(self.folder / f"{self.table}.json", json.dumps(document).encode())


def _plain(value: float) -> float | None:
    return None if value != value else float(f"{value:.9g}")


def _plain_columns(batch: Batch, unit: int, layout: Layout) -> pa.Table:
    """Return floats and texts; a category that is not text has a copy as text."""
    columns: dict[str, pa.Array] = {"_unit": pa.array([unit] * batch.rows, pa.int64())}
    for name, values in batch.columns.items():
        is_text = pa.types.is_string(values.type)
        numbers = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
        columns[name] = values if is_text else numbers.cast(pa.float64(), safe=False)
        if name in layout.categories and not is_text:
            columns[name + LEVEL] = values.cast(pa.string())
    return pa.table(columns)
