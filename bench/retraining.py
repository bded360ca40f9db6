"""Measure the value of retraining on the flights year, with faults and reversed outcomes.

    python -m bench.retraining [untouched] [faults] [turns] [--json]

It needs a home in which `headrace demo` has run. The year is replayed window by window in this
process, from April on, with a model trained on the first quarter: unchanged; with faults in the
features of single weeks; and with the outcomes of one carrier reversed from a day on. For the last
variant it reports the number of windows until the champion was replaced, and compares the new
champion's loss on all later rows with that of a model trained on outcomes that were always
reversed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.page import machine
from bench.retraining_world import FrameWorld, Lived, live
from headrace.core.clock import DAY, iso, parse_iso
from headrace.core.home import Home
from headrace.datasets import open_release
from headrace.models import ModelRecord, champion
from headrace.models.metrics import log_loss
from headrace.models.score import predict

BEGUN = parse_iso("2013-04-02T05:00:00Z")
ENDS = parse_iso("2014-01-01T05:00:00Z")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Life:
    """Result of one replayed year: numbers of windows, retrainings, promotions and rollbacks.

    `told` has a sentence for each retraining and each result of a promotion watch.
    """

    name: str
    windows: int
    retrainings: int
    promoted: int
    rolled_back: int
    told: tuple[str, ...]


@dataclass(frozen=True)
class Recovery:
    """Log losses on all rows after the last promotion, if `segment` is reversed from `day` on.

    `windows` is the number of windows from `day` to the first promotion. `full` is the loss of a
    model with full knowledge; `beyond` is the relative excess of the champion's loss over `full`.
    """

    segment: str
    share: float
    day: str
    windows: int | None
    champion: float | None
    full: float | None
    unchanged: float | None
    beyond: float | None
    life: Life


def flights() -> tuple[pa.Table, Any]:
    """Return the rows of the demo's release, in order of time, and its manifest."""
    dataset = open_release("flights_delay@1.0.0", store=Home.find().store)
    parts = [dataset.split(one).arrow for one in ("train", "valid", "test")]
    rows = pa.concat_tables(parts).sort_by([("t", "ascending")]).combine_chunks()
    at = rows.column_names.index("t")
    rows = rows.set_column(at, "t", rows["t"].cast(pa.timestamp("us")).cast(pa.int64()))
    rows = rows.drop_columns(["split"])
    return rows.append_column("label_reason", pa.nulls(len(rows), pa.string())), dataset.manifest


@contextmanager
def world(rows: pa.Table, manifest: Any) -> Iterator[FrameWorld]:
    from pipelines.flights import PIPELINE

    monitor = replace(PIPELINE.monitor, max_age={})
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        yield FrameWorld(
            Home(Path(folder)),
            rows,
            replace(PIPELINE.dataset, purpose="training"),
            PIPELINE.model,
            monitor,
            PIPELINE.retraining,
            manifest.definitions,
        )


def turned(rows: pa.Table, segment: str, since: int) -> pa.Table:
    """Reverse the outcomes of one carrier from `since` (microseconds UTC) on."""
    late = rows["late"].cast(pa.int64()).to_numpy()
    there = (rows["carrier"].to_numpy(zero_copy_only=False) == segment) & (
        rows["t"].to_numpy() >= since
    )
    label = pa.array(np.where(there, 1 - late, late)).cast(rows["late"].type)
    return rows.set_column(rows.column_names.index("late"), "late", label)


WATCHED = 10


def _watch_the_strongest(made: FrameWorld) -> None:
    """Let the monitor check only the features with the highest gain, which is enough here."""
    record = champion(made.home, made.model.name)
    gain: dict[str, float] = {} if record is None else dict(record.metrics["gain"])
    known = [name for name in gain if "__" in name]
    columns = tuple(sorted(known, key=lambda name: -gain[name])[:WATCHED])
    made.monitor = replace(made.monitor, columns=columns)


def lived(name: str, made: FrameWorld) -> tuple[Life, list[Lived]]:
    _watch_the_strongest(made)
    found = []
    for one in live(made, BEGUN, ENDS):
        found.append(one)
        summary = one.retrained.summary if one.retrained else ""
        print(name, iso(one.ends)[:10], one.action, one.cause, summary, file=sys.stderr, flush=True)
    outcomes = [one.retrained for one in found if one.retrained]
    backs = [w for one in found for w in one.watched if w.step == "rolled_back"]
    told = [
        f"{iso(one.ends)[:10]}, {'its age' if one.cause == 'none' else one.cause}: "
        f"{one.retrained.summary}; {one.retrained.steps['trained']['recipe']}"
        for one in found
        if one.retrained
    ]
    told += [f"{w.step}: {w.because}" for one in found for w in one.watched if w.step]
    return Life(
        name,
        len(found),
        len(outcomes),
        sum("promoted" in one.steps for one in outcomes),
        len(backs),
        tuple(told),
    ), found


def recovery(rows: pa.Table, manifest: Any, segment: str, day: str) -> Recovery:
    since = parse_iso(day)
    with world(turned(rows, segment, since), manifest) as made:
        first = made.begin(BEGUN)
        life, found = lived(f"{segment} turned", made)
        share = float(np.mean(rows["carrier"].to_numpy(zero_copy_only=False) == segment))
        promoted = [
            one.ends for one in found if one.retrained and "promoted" in one.retrained.steps
        ]
        now = champion(made.home, made.model.name)
        if not promoted or now is None or now.bundle_id == first.bundle_id:
            return Recovery(segment, share, day, None, None, None, None, None, life)
        last = promoted[-1]
        ours, before = (_loss(made, one, last) for one in (now, first))
        with world(turned(rows, segment, 0), manifest) as knowing:
            full = _loss(made, knowing.begin(last), last)
        windows = -(-(promoted[0] - since) // (7 * DAY))
        return Recovery(segment, share, day, windows, ours, full, before, ours / full - 1, life)


def _loss(made: FrameWorld, record: ModelRecord, since: int) -> float:
    rows = made.frame.filter(pa.array(made.moments >= since))
    y: Floats = rows["late"].cast(pa.float64()).to_numpy()
    return log_loss(y, predict(record, rows, definitions=made.definitions))


Spoil = Callable[[pa.Table, npt.NDArray[np.bool_]], pa.Table]


def _column(name: str, change: Callable[[Floats], Floats]) -> Spoil:
    def spoil(rows: pa.Table, there: npt.NDArray[np.bool_]) -> pa.Table:
        values = rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        new = pa.array(np.where(there, change(values), values), from_pandas=True)
        at = rows.column_names.index(name)
        return rows.set_column(at, name, new.cast(rows[name].type, safe=False))

    return spoil


def faults(numbers: Sequence[str]) -> list[tuple[str, Spoil]]:
    """Return a different kind of fault for each of the first columns."""
    kinds: list[tuple[str, Callable[[Floats], Floats]]] = [
        ("missing", lambda v: np.full_like(v, np.nan)),
        ("unit", lambda v: v * 60),
        ("frozen", lambda v: np.full_like(v, np.nanmedian(v))),
        ("shifted", lambda v: v + 4 * np.nanstd(v)),
    ]
    return [(f"{kind} {numbers[n]}", _column(numbers[n], change))
            for n, (kind, change) in enumerate(kinds)]  # fmt: skip


def faulty_year(rows: pa.Table, manifest: Any) -> Life:
    """Replay a year with a fault every six weeks from May on; each is two weeks long."""
    t = rows["t"].to_numpy()
    with world(rows, manifest) as made:
        gain = made.begin(BEGUN).metrics["gain"]
    floats = {f.name for f in rows.schema if "__" in f.name and pa.types.is_floating(f.type)}
    strongest = sorted(floats & set(gain), key=lambda name: -gain[name])
    for n, (_, spoil) in enumerate(faults(strongest)):
        first = parse_iso("2013-05-07T05:00:00Z") + n * 6 * 7 * DAY
        rows = spoil(rows, (t >= first) & (t < first + 14 * DAY))
    with world(rows, manifest) as made:
        made.begin(BEGUN)
        return lived("faulty features", made)[0]


def untouched_year(rows: pa.Table, manifest: Any) -> Life:
    with world(rows, manifest) as made:
        made.begin(BEGUN)
        return lived("untouched", made)[0]


TURNS = (("EV", "2013-06-11T05:00:00Z"),)
PARTS = ("untouched", "faults", "turns")
INTRO = """
`python -m bench.retraining`, in a home in which `headrace demo` has run, simulates the flights year
window by window from April on. It begins with a model that was trained on the first quarter, and
uses the policy of `pipelines/flights/monitors.yaml` and the pipeline's own retraining. There are
three variants of the year:

- `untouched`: the data as they are;
- `faulty features`: with four faults, each two weeks long, in the features that matter most to the
  model;
- `... turned`: from one day on, the outcomes of one carrier are permanently reversed.

For the variant `... turned`, the log loss on all rows after the last promotion is compared with
that of a model for which the reversed relation held from the start ("with full knowledge").
"""


def measure(parts: Sequence[str]) -> dict[str, Any]:
    rows, manifest = flights()
    found: dict[str, Any] = {}
    if "untouched" in parts:
        found["untouched"] = asdict(untouched_year(rows, manifest))
    if "faults" in parts:
        found["faults"] = asdict(faulty_year(rows, manifest))
    if "turns" in parts:
        found["turns"] = [asdict(recovery(rows, manifest, *one)) for one in TURNS]
    return found


def page(found: dict[str, Any]) -> str:
    """Return the section of docs/benchmarks.md."""
    lives = [found[part] for part in ("untouched", "faults") if part in found]
    lives += [turn["life"] for turn in found.get("turns", ())]
    head = ("year", "windows", "retrainings", "promoted", "rolled back")
    keys = ("name", "windows", "retrainings", "promoted", "rolled_back")
    parts = [INTRO.strip(), machine(), _rows(head, [[life[key] for key in keys] for life in lives])]
    head = ("turned", "of the rows", "on", "windows to a new champion", "its log loss",
            "with full knowledge", "beyond that", "unchanged champion")  # fmt: skip
    rows = [
        [turn["segment"], f"{turn['share']:.0%}", turn["day"][:10], turn["windows"],
         *(_number(turn[key], ".4f") for key in ("champion", "full")),
         _number(turn["beyond"], ".1%"), _number(turn["unchanged"], ".4f")]
        for turn in found.get("turns", ())
    ]  # fmt: skip
    parts += [_rows(head, rows)] if rows else []
    told = [f"- {life['name']}, {one}" for life in lives for one in life["told"]]
    title = (
        "The reason and the result of each retraining, and the recipe (the rows that the "
        "challenger was\ntrained on):"
    )
    parts += ["\n".join([title, "", *told])] if told else []
    return "\n\n".join(parts)


def _rows(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", action="store_true", help="print compact JSON")
    given = parser.parse_args(arguments)
    found = measure(given.parts)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
