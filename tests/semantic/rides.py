"""A small world: rides of a taxi firm, a file a day, with everything that detection can lean on."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.contracts import Contract, conform, load_contract
from headrace.contracts.drift import Baseline, BatchView, look_at, marked
from headrace.contracts.drift.profile import profile_of
from headrace.contracts.drift.view_reader import delivered_texts
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults import Day

CONTRACT = Path(__file__).with_name("rides.yaml")
ROUTES = {f"R{n:02d}": (n % 4, 1.5 + 0.7 * n) for n in range(12)}  # town, miles
TOWNS = ("Ash", "Birch", "Cedar", "Dogwood")
ROWS = 240


@cache
def contract() -> Contract:
    return load_contract(CONTRACT)


def slot(day: int) -> str:
    return str(np.datetime64("2024-01-01") + day)


def rides(day: int, rows: int = ROWS) -> RawRows:
    """The file of a day: always the same, in the order of time."""
    rng = np.random.default_rng(1000 + day)
    start = np.datetime64(f"{slot(day)}T00:00:00")
    minute = np.sort(rng.integers(0, 1440, rows))
    route = rng.integers(0, len(ROUTES), rows)
    names = np.array(list(ROUTES))[route]
    miles = np.array([ROUTES[name][1] for name in names])
    wait = rng.integers(0, 20, rows)
    late = (minute + wait) % 1440
    degrees = np.round(60 + 8 * np.sin(minute / 200) + rng.normal(0, 2, rows), 1)
    columns = {
        "ride": [f"{slot(day)}/{n:04d}" for n in range(rows)],
        "called_at": [str(start + np.timedelta64(int(m), "m")) + "Z" for m in minute],
        "route": names.tolist(),
        "town": [TOWNS[ROUTES[name][0]] for name in names],
        "miles": [f"{value:.1f}" for value in miles],
        "called": [f"{m // 60 * 100 + m % 60}" for m in minute.tolist()],
        "left": [f"{m // 60 * 100 + m % 60}" for m in late.tolist()],
        "wait": [str(value) for value in wait.tolist()],
        "degrees": [f"{value:.1f}" for value in degrees.tolist()],
        "fare": [f"{2.5 + 1.75 * m + 0.05 * int(w):.2f}" for m, w in zip(miles, wait, strict=True)],
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return RawRows(table, np.arange(2, rows + 2), tuple(columns), (), rows)


def seen(day: int, rows: RawRows) -> tuple[BatchView, dict[str, pa.Array]]:
    """A batch as detection gets it, with the texts it would get."""
    conformed = conform(contract(), rows, "batch")
    look = look_at(contract(), rows, conformed, slot(day))
    refused = conformed.table is None or conformed.bad_rows
    return look, delivered_texts(rows, look) if refused else {}


@cache
def past(days: int) -> Baseline:
    """The reference after so many clean days; not to be changed."""
    reference = Baseline()
    for day in range(days):
        look, _ = seen(day, rides(day))
        reference.add(marked(profile_of(look, slot(day)), look, reference))
    return reference


def day(number: int) -> Day:
    """A clean day to plant faults in."""
    rows = rides(number)
    conformed = conform(contract(), rows, "batch")
    look = look_at(contract(), rows, conformed, slot(number))
    return Day(contract(), slot(number), number, rows, conformed, look, rides(number - 1))
