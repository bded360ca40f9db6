"""Every benchmark, or those named; renews `docs/benchmarks.md`: `python -m bench [NAME ...]`."""

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
from bench.page import renew, section, table
from bench.report import Comparison

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
YEAR = """
`python -m bench.year`. Ours: `ingest` of every table, the views, the release, the model, and then
the monitors, which no peer has and which are timed apart, in a process of its own with an empty
home. Peers: scripts written by hand in Polars and in DuckDB (`bench/peers`, with notes on what was
tried), of which the faster one counts. Both read the same deliveries from the same folder, feed and
database: 367 different files, 730 days of two feeds, 3 tables. Imports are done before the clock
starts, the files are in the page cache, the sides run in turn, and each time is the median of
{repeat}.

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
"""
BREAKDOWN = """
Where the time goes, in seconds of the run that was disturbed least. Lines marked `own thread` run
beside the others and add up to nothing. `dagster` is the same year through `headrace run`; `one
more day` is a day's ingest, views, release, model and monitors after all days before it, and fails
if another day changes or more than one row in fifty is computed again.

```
{told}
```
"""
FEATURES = """
`python -m bench.features`. A training frame in memory, of tables in memory, each side in its own
form and in a process of its own; the medians of {repeat}. Peers come in several formulations
(`bench/peers/features_*.py`): the goal stands where the kind's best one is, and at DuckDB's window
functions. A peer that takes longer than 15 minutes or more memory than there is has no line, nor
have the answers been compared then. Feast has an
environment of its own; rows that it lost are counted, and the others compared. Out of core, events
come from Parquet and the frame goes to Parquet, under a limit of memory. Equal answers: to 1e-14 of
their size, spreads to 1e-6, since peers add floats.
"""
SERVING = """
`python -m bench.serving`. Twenty windowed features of an entity, computed as they are asked for; in
process, times are those of 100,000 vectors that each take as long as the percentile named. Feast is
given the values in its store and computes nothing. Ingest is one process and one transaction for
each 100,000 events, fsynced. Over HTTP, every side has one worker and the same load; the bare
endpoint answers with a constant of the same bytes. The medians of {repeat}.
"""
STREAMS = """
`python -m bench.streams`. A micro-batch goes through the same landing, contract, gate and commit as
a file. Then three times as many events as come through, for ten minutes: the equality of answers
there says that nothing was lost or doubled, that the lag was shown, and that the consumer's memory
in the second half was at most 1.15 times the first half's.
"""
CLUSTER = """
`python -m bench.cluster`. The same frame on the embedded host, on Sail and on Spark, Parquet in and
Parquet out, all on one machine: what the way over a cluster costs, not what many machines gain.
"""
GATES = """
`python -m bench.gates`. The same thirty checks (`bench/gates_suite.yaml`: ranges, sets, forms,
nulls, keys, orders, means, spreads, a median) of a file of twelve columns on the disk, one without
a fault and one with some, by every side in its own best form: Great Expectations on pandas asked
for success only; Soda Core with its own checks, SQL expressions where it has none, over the file
and over a table that it is loaded into; Pandera with its own checks, one expression for each other.
Each in a process of its own, imports and a small file before the clock starts. Equal answers are
the same verdict on each check. A bare scan is DuckDB's least and greatest value and count of every
column. Times are the least of {repeat} turns, since what else a machine does can only add to them.
Ours takes what it can from the footer, reads what is left in one scan and once more where rows
failed; writing the rows that pass and those that do not is a line of its own.
"""
DATASETS = """
`python -m bench.datasets`, about half an hour. The content hash of a table in memory against a
Parquet write of the same table, with numba and without. A diff of two releases against a full
outer join of the same Parquet files in DuckDB, as one join over all columns and as a join of keys
and row hashes followed by the columns of the rows that differ; equal answers are rows added,
removed, changed and moved and the cells changed of every column. Then ten versions of one dataset,
each with 1% of its rows changed, in one stretch of time or anywhere, and the last one's rows once
more in another order: ours is the whole of a release (splits, checks for leaks, hash, parts);
peers store the rows. DVC runs in process, without Git, with links, over one file or one for each
100,000 rows; Delta Lake overwrites, or merges only the changed rows, which it is told; Hugging
Face datasets save Arrow or Parquet. Equal answers are rows and sums of versions 1, 5 and 10, read
back. Storage is told in MB where a line says so. The least of {repeat} runs.
"""
MONITORING = """
`python -m bench.monitoring`. The sketches that every publication keeps of its rows: ten million
rows of fifty columns, read from Parquet piece by piece, on two cores, against the limit of one
microsecond a row; without numba; and the reading alone. Evidently's summary of data in memory, at
sizes that it can do, in an environment of its own, against ours of the same rows. Then what a
window's counts and whole sketches cost from what is kept of a year of days: no row is touched. The
median of {repeat} runs, each in a process of its own.
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
    rest = f"Under three times the rate:\n\n```json\n{json.dumps(told)}\n```"
    return section(STREAMS, table(found), rest, found), found


def of_study(_repeat: int, lines: Path | None = None) -> Made:
    """Measured now, or by `bench.monitoring_study --json` before."""
    found = (
        json.loads(lines.read_text()) if lines else monitoring_study.study(monitoring_study.FULL)
    )
    monitoring_study.draw(found)
    return monitoring_study.page(found), []


def of_retraining(_repeat: int, lines: Path | None = None) -> Made:
    """Measured now, or by `bench.retraining --json` before."""
    found = json.loads(lines.read_text()) if lines else retraining.measure(retraining.PARTS)
    return retraining.page(found), []


def plain(intro: str, measure: Callable[[int], Iterator[Comparison] | list[Comparison]]):
    """A section of lines alone: measured now, or by `--json` before, in as many parts as needed."""

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
    parser.add_argument("--lines", type=Path, help="take what `--json` printed; for one "
                        "name, and neither year nor streams")  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.names) - set(SECTIONS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if given.lines and (len(given.names) != 1 or given.names[0] in {"year", "streams"}):
        parser.error("--lines goes with one name, and neither year nor streams")
    titles = [title for title, _ in SECTIONS.values()]
    for name in given.names or SECTIONS:
        title, make = SECTIONS[name]
        body, found = make(given.repeat, *([given.lines] if given.lines else []))
        # At once: the next one may take half an hour.
        PAGE.write_text(renew(PAGE.read_text(), titles, {title: body}))
        for comparison in found:
            print(comparison.line(), flush=True)


if __name__ == "__main__":
    main()
