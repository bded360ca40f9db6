"""Every benchmark; renews `docs/benchmarks.md`: `python -m bench [--repeat 3]`."""

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

from bench import year
from bench.report import Comparison

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("duckdb", "polars", "pyarrow", "lightgbm", "pyiceberg", "dagster")
HEAD = """# Benchmarks

Written by `make bench`; `python -m bench.year` runs the year alone, `--json` gives only the lines.
`ratio` is the peer's time over ours: more is better, and 0.333 means that we take three times as
long. A goal is met if the ratio is reached and the answers are equal.

{machine}

## The year from deliveries to model

Ours: `ingest` of every table, the views, the release, the model, and then the monitors, which no
peer has and which are timed apart, in a process of its own with an empty home. Peers: scripts
written by hand in Polars and in DuckDB (`bench/peers`, with notes on what was tried), of which
the faster one counts. Both read the same deliveries from the same folder, feed and database: 367
different files, 730 days of two feeds, 3 tables. Imports are done before the clock starts, the
files are in the page cache, the sides run in turn, and each time is the median of {repeat}.

The same duty is: every delivery read with its sha256; every row with its file and line; the times
of the contracts, the 717 flights without a stated delay and the cancelled ones among them; some 40
counts of nulls, ranges, patterns and repeated keys for each delivery; parts of files stopped and
the wind of 1048 mph left out; one Parquet a delivery; all features as known at prediction time;
label, splits, the dataset as Parquet; the model and the baseline with the same parameters and
rounds.

Equal answers: all {columns} columns of all 336,776 flights, label and split included, integers
exactly and floats to 1e-9 of their size; and the log loss of model and baseline on the test weeks,
which makes them the same models.

What only ours does, inside its time: keep the delivered bytes; sync every file and ledger row, so
that a crash at any moment loses nothing; verdicts with reasons and failing rows; one Iceberg commit
a table; views that are renewed by the day; content hash and manifest; metrics by segment with
bootstrap intervals, the stand against the champion. Both use two cores, Polars by threads, ours by
a second process that judges deliveries; memory and processor time are of all processes together.

{table}

Where the time goes, in seconds of the run that was disturbed least. Lines marked `own thread` run
beside the others and add up to nothing. `dagster` is the same year through `headrace run`; `one
more day` is a day's ingest, views, release, model and monitors after all days before it, and fails
if another day changes or more than one row in fifty is computed again.

```
{told}
```

The lines:

```json
{lines}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Run every benchmark and renew the page.")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side (3)")
    repeat = parser.parse_args().repeat
    measured = year.measure(repeat)
    PAGE.write_text(page(measured, repeat))
    print(year.told(measured))
    for comparison in measured.comparisons:
        print(comparison.line())


def page(measured: year.Year, repeat: int) -> str:
    return HEAD.format(
        machine=machine(),
        columns=measured.columns,
        repeat=repeat,
        table="\n".join([*year.warnings(measured), "", *table(measured)]).strip(),
        told=year.told(measured),
        lines="\n".join(one.line() for one in measured.comparisons),
    )


def table(measured: year.Year) -> list[str]:
    rows = [
        "| what | ours | peer | its time | ratio | goal | met | answers equal | our peak |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- | --- | ---: |",
    ]
    for one in measured.comparisons:
        goal = "" if one.goal is None else f"{one.goal:.3f}"
        rows.append(
            f"| {one.name} | {one.ours_s:.1f} s | {one.peer} | {one.peer_s:.1f} s "
            f"| {one.ratio:.3f} | {goal} | {met(measured, one)} "
            f"| {'yes' if one.answers_equal else 'no'} | {one.rss_mb} MB |"
        )
    return rows


def met(measured: year.Year, one: Comparison) -> str:
    if one.goal is None:
        return ""
    if measured.disturbed(one.peer):
        return "undecided"
    return "yes" if one.met else "no"


def machine() -> str:
    cores = os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"Machine: {cores} cores, {memory:.0f} GB, Python {python}; {packages}."


if __name__ == "__main__":
    main()
