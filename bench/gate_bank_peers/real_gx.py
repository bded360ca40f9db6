"""Great Expectations itself on some deliveries: `python -m bench.gate_bank_peers.real_gx TABLE`.

The comparison computes the figures of Great Expectations, because a validation takes about a
second. This builds the suite of a day from the same window with a given margin, validates the clean
delivery and the altered ones, and counts the expectations whose success differs from ours.
"""

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.gate_bank_peers.batches import Batch, typed_batch
from bench.gate_bank_peers.export import LEVEL
from bench.gate_bank_peers.figures import Figure, Floats, Layout, Window, measure
from bench.gate_bank_peers.scores import ranges
from headrace.contracts.drift.baseline import WINDOW
from headrace.verification.gate_bank.faults import CleanDay, plantings
from headrace.verification.gate_bank.measure import TABLES
from headrace.verification.gate_bank.run import WARM_UP, places_to_plant
from headrace.verification.gate_bank.tables import BankTable, csv_bytes

# Figure -> expectation on a range. The rest of the suite, on shares of rows, is `_on_rows`.
_ON_FIGURES = {
    "row_count": "ExpectTableRowCountToBeBetween",
    "distinct_count": "ExpectColumnUniqueValueCountToBeBetween",
    "distinct_share": "ExpectColumnProportionOfUniqueValuesToBeBetween",
    "min": "ExpectColumnMinToBeBetween",
    "max": "ExpectColumnMaxToBeBetween",
    "average": "ExpectColumnMeanToBeBetween",
    "standard_deviation": "ExpectColumnStdevToBeBetween",
    "sum": "ExpectColumnSumToBeBetween",
    "quantile_50": "ExpectColumnMedianToBeBetween",
}


def expectations(
    layout: Layout, window: Window, margin: float, gx: Any
) -> Iterator[tuple[int, Any]]:
    """Yield the place of a figure and its expectation."""
    matrix = window.matrix()
    low, high = np.fmin.reduce(matrix), np.fmax.reduce(matrix)
    for at, figure in enumerate(layout.figures):
        if np.isnan(matrix[:, at]).any():
            continue
        name = _ON_FIGURES.get(figure.statistic)
        if name:
            width = high[at] - low[at] + _floor(figure, low[at], high[at])
            limits = {"min_value": low[at] - margin * width, "max_value": high[at] + margin * width}
            if figure.statistic in {"row_count", "distinct_count"}:
                limits = {
                    "min_value": max(0, int(np.ceil(limits["min_value"]))),
                    "max_value": int(np.floor(limits["max_value"])),
                }
            column = {"column": figure.column} if figure.column else {}
            yield at, getattr(gx.expectations, name)(**column, **limits, meta={"at": at})
        elif figure.statistic in {"null_percent", "new_values"}:
            share = high[at] + margin * (high[at] - low[at] + 0.01)
            yield from _on_rows(at, figure, window, max(0.0, 1 - share), gx)


def _on_rows(
    at: int, figure: Figure, window: Window, mostly: float, gx: Any
) -> Iterator[tuple[int, Any]]:
    meta = {"at": at}
    if figure.statistic == "null_percent":
        kind = gx.expectations.ExpectColumnValuesToNotBeNull
        yield at, kind(column=figure.column, mostly=mostly, meta=meta)
    else:
        levels = [level for level, count in window.pooled[figure.column].items() if count > 0]
        kind = gx.expectations.ExpectColumnValuesToBeInSet
        yield at, kind(column=figure.column + LEVEL, value_set=levels, mostly=mostly, meta=meta)


def _floor(figure: Figure, low: float, high: float) -> float:
    is_share = figure.statistic == "distinct_share"
    return 0.01 if is_share else 0.01 * max(abs(low), abs(high))


def agreement(table: BankTable, planted: int, margin: float) -> tuple[int, int, Counter[str]]:
    """Return deliveries, expectations, and the number that differs by statistic."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    warnings.simplefilter("ignore")
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
    definition = asset.add_batch_definition_whole_dataframe("batch")
    contract, days = table.contract, table.rows_by_day()
    names = list(days)
    places = places_to_plant(len(names), planted)
    clean = [
        typed_batch(contract, name, csv_bytes(days[name])) for name in names[: max(places) + 1]
    ]
    layout = Layout.of(contract, clean[:WARM_UP])
    deliveries = checked = 0
    differing: Counter[str] = Counter()
    for place in sorted(places):
        window = _window(layout, clean[:place])
        suite = dict(expectations(layout, window, margin, gx))
        day = CleanDay(table, names[place], days[names[place]], days[names[place - 1]], place)
        payloads = [csv_bytes(day.rows), *(change.payload for _, change in plantings(day))]
        for payload in payloads:
            batch = typed_batch(contract, day.name, payload)
            if batch.broken:
                continue
            frame = _frame(batch, layout)
            got = definition.get_batch(batch_parameters={"dataframe": frame}).validate(
                gx.ExpectationSuite(name="suite", expectations=list(suite.values())),
                result_format="BOOLEAN_ONLY",
            )
            ours = _ours(layout, window, batch, margin)
            deliveries += 1
            for result in got.results:
                at = result.expectation_config.meta["at"]
                checked += 1
                if bool(result.success) != bool(ours[at]):
                    differing[layout.figures[at].statistic] += 1
    return deliveries, checked, differing


def _window(layout: Layout, batches: list[Batch]) -> Window:
    window = Window(layout, WINDOW)
    for batch in batches[-2 * WINDOW :]:
        if not batch.broken:
            bins = window.bins() if window.batches else {}
            window.add(window.with_distances(measure(layout, batch), bins))
    return window


def _ours(layout: Layout, window: Window, batch: Batch, margin: float) -> Floats:
    measured = window.with_distances(measure(layout, batch), window.bins())
    return ranges(layout.figures, window.matrix(), measured.figures) <= margin


def _frame(batch: Batch, layout: Layout) -> Any:
    """Return a data frame in which categories have a copy as text, as in the window's counts."""
    import pandas as pd
    import pyarrow as pa

    columns = {}
    for name, values in batch.columns.items():
        texts = "object" if pa.types.is_string(values.type) else None
        columns[name] = pd.Series(values.to_pylist(), dtype=texts)
        if name in layout.categories:
            levels = values.cast(pa.string()).to_pylist()
            columns[name + LEVEL] = pd.Series(levels, dtype="object")
    return pd.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description="Great Expectations against our figures.")
    parser.add_argument("tables", nargs="+", help="names of tables")
    parser.add_argument("--planted", type=int, default=1, help="days of a table to validate")
    parser.add_argument("--margin", type=float, default=0.5, help="of all expectations")
    options = parser.parse_args()
    for table in TABLES:
        if table.name in options.tables:
            deliveries, checked, differing = agreement(table, options.planted, options.margin)
            print(f"{table.name}: {deliveries} deliveries, {checked} expectations,"
                  f" {differing.total()} differ {dict(differing)}")  # fmt: skip


if __name__ == "__main__":
    main()
