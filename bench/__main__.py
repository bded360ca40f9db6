"""Run all or the named benchmarks and renew `docs/benchmarks.md`: `python -m bench [NAME ...]`."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import (
    cluster,
    datasets,
    features,
    gates,
    monitoring,
    monitoring_study,
    retraining,
    serving,
    streams,
    year,
)
from bench.gate_bank import report
from bench.gate_bank_peers import measure as gate_peers
from bench.gate_bank_peers import report as gate_peers_report
from bench.page import renew, section, table
from bench.report import Comparison
from headrace.verification.gate_bank.measure import TABLES, measured

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
YEAR = """
`python -m bench.year` compares Headrace with scripts that were written by hand in Polars and in
DuckDB (`bench/peers`, with notes on what was tried). Each side turns a year of flights into a
dataset and a model. Headrace ingests every table, computes the views, makes the release and trains
the model, in a process of its own with an empty home. It then runs the monitors; no peer has
monitors, so these are timed separately. The goal applies to the faster of the two peers.

Both sides read the same deliveries from the same folder, feed and database: 367 different files,
730 days of two feeds, 3 tables. Imports are done before the clock starts, the files are in the page
cache, the sides take turns, and each time is the median of {repeat} runs.

Both sides have the same duties:

- read every delivery with its sha256, and every row with its file and line;
- apply the time rules of the contracts, also to the 717 flights without a stated delay and to the
  cancelled flights;
- compute some 40 counts of nulls, ranges, patterns and repeated keys for each delivery;
- stop incomplete files, and exclude the wind of 1048 mph;
- write one Parquet file for each delivery;
- compute all features as they were known at prediction time, the label and the splits, and write
  the dataset as Parquet;
- train the model and the baseline with the same parameters and rounds.

The answers are equal if all {columns} columns of all 336,776 flights agree, including label and
split: integers exactly and floats to 1e-9 of their size. The log loss of model and baseline on the
test weeks must agree too, which shows that the models are the same.

Within its time, Headrace also does what no peer does:

- It keeps the delivered bytes, and syncs every file and every ledger row to the disk, so that a
  crash at any moment loses nothing.
- It gives each batch a verdict with reasons and failing rows.
- It makes one Iceberg commit for each table, and views that can be renewed day by day.
- It computes a content hash and writes a manifest.
- It computes metrics by segment with bootstrap intervals, and compares the model with the champion.

Both sides use two cores: Polars by threads, Headrace by a second process that validates deliveries.
Memory and processor time are those of all processes together. "The same training left out"
subtracts the time of the training from both sides. "Peer without the duties" is the shortest script
for the same dataset, without hashes, checks and a file for each delivery.
"""
BREAKDOWN = """
This is where the time goes, in seconds, in the run of each side that was disturbed least by other
work. Lines marked `own thread` run at the same time as the others and are not part of the sum.
`dagster` is the same year through `headrace run`. `one more day` is the ingest of one day, and then
views, release, model and monitors, after all days before it. It fails if another day changes, or if
more than one row in fifty is recomputed.

```
{told}
```
"""
FEATURES = """
`python -m bench.features` computes a training set in memory from tables in memory. Each side uses
its own best form and runs in a process of its own; times are medians of {repeat} runs. Each peer
comes in several formulations (`bench/peers/features_*.py`). The goals apply to the best formulation
of each kind and to DuckDB's window functions. A peer that takes longer than 15 minutes, or more
memory than the machine has, has no line, and its answers were not compared. Feast runs in an
environment of its own; the rows that it lost are counted, and the other rows are compared. In the
line "out of core", events are read from Parquet and the training set is written to Parquet, under a
limit of memory. Answers are equal if they agree to 1e-14 of their size, and standard deviations to
1e-6, because peers add floats.
"""
SERVING = """
`python -m bench.serving` computes twenty windowed features of an entity at the time of the request.
The times "in process" are 100,000 times the named percentile of the time that a vector takes.
Feast's store contains the values, which were computed before, so Feast computes nothing. Ingest
runs in one process, with one fsynced transaction for each 100,000 events. Over HTTP, every side has
one worker and the same load. The "bare endpoint" always returns the same answer, with as many bytes
as ours. Times are medians of {repeat} runs.
"""
STREAMS = """
`python -m bench.streams` sends events through streams, and the same events through files. A
micro-batch passes the same steps as a file: landing, contract, gate and commit. Then the consumer
is sent three times as many events as it can process, for ten minutes. In that line, "answers equal"
means that no event was lost or duplicated, that the status reported the lag, and that the consumer
used at most 1.15 times as much memory in the second half as in the first.
"""
CLUSTER = """
`python -m bench.cluster` computes the same training set in process ("embedded"), on Sail and on
Spark, from Parquet to Parquet, all on one machine. It shows the cost of using a cluster, not the
gain from many machines.
"""
GATES = """
`python -m bench.gates` runs the same thirty checks (`bench/gates_suite.yaml`: ranges, sets,
patterns, nulls, keys, orders, means, standard deviations, a median) on two Parquet files of twelve
columns: one without faults and one with some. Every side uses the method that suits it best, in a
process of its own. The clock starts after the imports, and after a small file was checked once:

- Great Expectations runs on pandas and returns only success or failure.
- Soda Core uses its own checks, and SQL expressions where it has none. It runs on the file, and on
  a table into which the file was loaded.
- Pandera uses its own checks, and one expression for each of the others.
- "A scan" is DuckDB computing the minimum, the maximum and the count of every column.

Answers are equal if both sides have the same verdict on each check. Each time is the minimum of
{repeat} runs, because other work on the machine can only make a run longer. Headrace uses the
statistics in the footer of the file where they suffice, reads the rest in one scan, and scans once
more if rows failed. Writing the passing and the failing rows to two files is measured in separate
lines.

The lines "compared with earlier batches" are the ingest of one day's file into memory: parsing,
contract, the same checks and the staged rows, first alone ("the gate alone") and then with the
batch's profile and its comparison with the profiles of the 14 days before. Processor seconds are
the figure to judge by. Nothing is sampled: all rows are examined, and memory grows with them.
`python -m bench.gates --history` measures only these lines.
"""
DATASETS = """
`python -m bench.datasets`, about half an hour, measures four things.

**Hash.** The content hash of a table in memory, with numba and without, is compared with writing
the same table as Parquet.

**Diff.** A diff of two releases is compared with a full outer join of the same Parquet files in
DuckDB: either one join over all columns, or a join of keys and row hashes that is followed by
reading the columns of the rows that differ. Answers are equal if the numbers of added, removed,
changed and moved rows and of the changed cells of every column agree.

**Ten versions.** One dataset gets ten versions. Each changes 1% of the rows, either in one stretch
of time or anywhere. Then the rows of the last version are released once more in another order.
Headrace makes whole releases (splits, leakage checks, hash, parts); the peers only store the rows.
DVC runs in the same process, without Git, with links, over one file or over one file for each
100,000 rows. Delta Lake overwrites the table, or merges only the changed rows, which it receives as
input. Hugging Face datasets save Arrow or Parquet. Answers are equal if rows and sums of versions
1, 5 and 10 agree when they are read back. Some lines compare the storage in MB; their names say so.

**Opening.** A release of two million rows and twenty columns is opened and read, and compared with
pyarrow and DuckDB on its bare Parquet files. The files are in the page cache, and except in one
line their bytes were hashed before. "To the first batch" is measured in a fresh process, with and
without the imports; "into Arrow" and "into pandas" are measured after the imports.

Each time is the minimum of {repeat} runs.
"""
MONITORING = """
`python -m bench.monitoring` measures the cost of monitors. First, it computes the profiles
(sketches) that every publication stores of its rows: ten million rows of fifty columns are read
from Parquet piece by piece, on two cores. The limit is one microsecond per row. The same is
measured without numba, and for reading the rows without profiling them. Second, Evidently's summary
of data in memory, in an environment of its own and at sizes that it can handle, is compared with
Headrace's summary of the same rows. Third, a window is computed from the profiles of its days
("roll-up"), once with counts and once with whole sketches; this reads no rows. Number of
runs: {repeat}. Each time is their median; each run has a process of its own.
"""
Made = tuple[str, list[Comparison]]


def of_year(repeat: int) -> Made:
    found = year.measure(repeat)
    told = year.told(found)
    print(told)
    disturbed = [peer for peer in year.PEERS if found.disturbed(peer)]
    rows = [*year.warnings(found), "", *table(found.comparisons, disturbed)]
    intro = YEAR.format(columns=found.columns, repeat=repeat)
    breakdown = BREAKDOWN.format(told=told)
    return section(intro, rows, breakdown, found.comparisons), found.comparisons


def of_streams(repeat: int) -> Made:
    found, told = streams.measure(repeat)
    title = "The run with three times as many events as the consumer can process:"
    rest = f"{title}\n\n```json\n{json.dumps(told)}\n```"
    return section(STREAMS, table(found), rest, found), found


def of_study(_repeat: int, lines: Path | None = None) -> Made:
    """Return the section, measured now or read from the output of `monitoring_study --json`."""
    found = (
        json.loads(lines.read_text()) if lines else monitoring_study.study(monitoring_study.FULL)
    )
    monitoring_study.draw(found)
    return monitoring_study.page(found), []


def of_gate_bank(_repeat: int, lines: Path | None = None) -> Made:
    """Return the section, measured now or read from the output of `bench.gate_bank --json`."""
    found = json.loads(lines.read_text()) if lines else measured(TABLES)
    return report.page(found), []


def of_gate_peers(_repeat: int, lines: Path | None = None) -> Made:
    """Return the section, measured now or read from the output of `gate_bank_peers --json`."""
    found = (
        json.loads(lines.read_text())
        if lines
        else gate_peers.measured(TABLES, gate_peers.PLANTED_DAYS, None)
    )
    return gate_peers_report.page(found), []


def of_retraining(_repeat: int, lines: Path | None = None) -> Made:
    """Return the section, measured now or read from the output of `bench.retraining --json`."""
    found = json.loads(lines.read_text()) if lines else retraining.measure(retraining.PARTS)
    return retraining.page(found), []


def plain(intro: str, measure: Callable[[int], Iterator[Comparison] | list[Comparison]]):
    """Return a function that makes a section of lines, measured now or read from `--json` output.

    The file may contain the output of several runs.
    """

    def make(repeat: int, lines: Path | None = None) -> Made:
        if lines is None:
            found = list(measure(repeat))
        else:
            found = [Comparison(**json.loads(line)) for line in lines.read_text().splitlines()]
        return section(intro.format(repeat=repeat), table(found), "", found), found

    return make


SECTIONS: dict[str, tuple[str, Callable[..., Made]]] = {
    "year": ("The year from deliveries to model", of_year),
    "gates": ("Gates", plain(GATES, lambda n: gates.measure(repeat=n))),
    "gate_bank": ("Gates on tables of strangers", of_gate_bank),
    "gate_peers": ("Gates on tables of strangers: other tools", of_gate_peers),
    "datasets": ("Datasets", plain(DATASETS, lambda n: datasets.measure(repeat=n))),
    "features": ("Features", plain(FEATURES, lambda n: features.measure(repeat=n))),
    "serving": ("Serving", plain(SERVING, lambda n: serving.comparisons(repeat=n))),
    "streams": ("Streams", of_streams),
    "monitoring_study": ("Monitoring: right, and quiet", of_study),
    "monitoring": (
        "Monitoring: what it costs",
        plain(MONITORING, lambda n: monitoring.measure(repeat=n)),
    ),
    "retraining": ("Retraining", of_retraining),
    "cluster": ("Cluster", plain(CLUSTER, lambda n: cluster.comparisons(repeat=n))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run benchmarks and renew their page.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SECTIONS)} (all)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side (3)")
    parser.add_argument("--lines", type=Path, help="read the output of `--json` instead of "
                        "measuring; for one name, except year and streams")  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.names) - set(SECTIONS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if given.lines and (len(given.names) != 1 or given.names[0] in {"year", "streams"}):
        parser.error("--lines needs exactly one name, other than year and streams")
    titles = [title for title, _ in SECTIONS.values()]
    for name in given.names or SECTIONS:
        title, make = SECTIONS[name]
        body, found = make(given.repeat, *([given.lines] if given.lines else []))
        # Write the page after each benchmark: the next one may take half an hour.
        PAGE.write_text(renew(PAGE.read_text(), titles, {title: body}))
        for comparison in found:
            print(comparison.line(), flush=True)


if __name__ == "__main__":
    main()
