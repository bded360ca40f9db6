"""Measurement of all peers on tables of the bank."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import peer_env
from bench.gate_bank_peers.batches import EVENT_TIME
from bench.gate_bank_peers.export import LEVEL, Export
from bench.gate_bank_peers.run import Delivery, Scores, TableRun, evaluate, renewed
from bench.gate_bank_peers.scores import (
    ELEMENTARY,
    ELEMENTARY_TUNED,
    GREAT_EXPECTATIONS,
    LEAST_BATCHES,
    MOST,
)
from bench.gate_bank_peers.settings import equal_alarms, results
from headrace.contracts.drift.baseline import WINDOW
from headrace.core.files import write_atomically
from headrace.verification.gate_bank.tables import BankTable
from headrace.verification.gate_bank.untuned_tables import UNTUNED

PLANTED_DAYS = 2
PEERS = (GREAT_EXPECTATIONS, ELEMENTARY, ELEMENTARY_TUNED)
# Environment of a peer, which is also the suffix of its answers: its script.
SCRIPTS = {"tfdv": "gate_bank_tfdv.py", "soda_anomaly": "gate_bank_soda.py"}
_QUIET = {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}


def measured(
    tables: Sequence[BankTable],
    planted: int,
    folder: Path | None,
    environments: Sequence[str] = tuple(SCRIPTS),
    renew: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the counts of all peers on these tables.

    Args:
        tables: of the bank and of those that were left out.
        planted: days of a table in which faults are injected.
        folder: for the scores; tables whose scores it holds are not measured again.
        environments: peers to run that have an environment of their own.
        renew: names of tables with scores in the folder that the present gate validates again.
    """
    with TemporaryDirectory(prefix="gate-bank-peers-") as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        runs = [_run(table, planted, place, renew=table.name in renew) for table in tables]
        for name in environments:
            _ask(name, [table.name for table in tables], place)
        for run in runs:
            attach_tfdv(run, place)
            attach_soda(run, place)
        return {"planted": planted, "peers": results(runs), "equal_alarms": equal_alarms(runs)}


def _run(table: BankTable, planted: int, folder: Path, *, renew: bool) -> TableRun:
    path = folder / f"{table.name}.run.json"
    if not path.exists():
        print(table.name, file=sys.stderr)
        export = Export(folder, table.name)
        run = evaluate(table, PEERS, planted, left_out=table in UNTUNED, export=export)
        write_atomically(path, json.dumps(run.document()).encode())
    elif renew:
        print(f"{table.name}: our verdicts", file=sys.stderr)
        run = renewed(TableRun.of(json.loads(path.read_text())), table, PEERS, planted)
        write_atomically(path, json.dumps(run.document()).encode())
    return TableRun.of(json.loads(path.read_text()))


def _ask(name: str, tables: Sequence[str], folder: Path) -> None:
    """Run a peer's script on the tables that have no answers."""
    missing = [
        table
        for table in tables
        if (folder / f"{table}.json").exists() and not (folder / f"{table}.{name}.json").exists()
    ]
    if missing:
        script = Path(__file__).parents[1] / "peers" / SCRIPTS[name]
        command = [str(peer_env.python(name)), str(script), str(folder), *missing]
        variables = peer_env.environment() | _QUIET
        subprocess.run(command, check=True, env=variables, stdout=sys.stderr)


def attach_tfdv(run: TableRun, folder: Path) -> None:
    """Add the scores of TensorFlow Data Validation, if there are answers.

    A distance is compared with those of the clean days in the window: its score is how far it is
    beyond the largest, as a multiple of their range. The margins of a schema are scores as such.
    """
    path = folder / f"{run.table}.tfdv.json"
    if not path.exists():
        return
    answers = json.loads(path.read_text())
    document = json.loads((folder / f"{run.table}.json").read_text())
    clock = tuple(document["clock"])
    days = {delivery.day: delivery for delivery in run.clean}
    altered: dict[str, list[Delivery]] = {}
    for delivery in run.altered:
        altered.setdefault(delivery.day, []).append(delivery)
    history: dict[tuple[str, str], list[float]] = {}
    for day, clean in days.items():
        for delivery in (clean, *altered.get(day, [])):
            found = answers.get(str(delivery.unit))
            if found is not None:
                delivery.scores["TFDV"] = _tfdv_scores(found, history, document["roles"], clock)
        for kind, columns in (answers.get(str(clean.unit)) or {}).items():
            for column, value in columns.items():
                if kind in _DISTANCES:
                    history.setdefault((kind, column), []).append(value)


_DISTANCES = {"L_INFTY": "infinity_norm", "JENSEN_SHANNON_DIVERGENCE": "jensen_shannon"}


def _tfdv_scores(
    found: dict[str, dict[str, float]],
    history: dict[tuple[str, str], list[float]],
    roles: dict[str, str],
    clock: tuple[str, ...],
) -> Scores:
    scores: Scores = {}

    def note(kind: str, score: float, columns: tuple[str, ...]) -> None:
        if score > scores.get(kind, (0.0, ()))[0]:
            scores[kind] = score, columns

    for kind, by_column in found.items():
        for column, value in by_column.items():
            name = column.removesuffix(LEVEL)
            role = "category" if column.endswith(LEVEL) else roles.get(name, "table")
            names = clock if name == EVENT_TIME else (name,) if name else ()
            if kind not in _DISTANCES:
                note(f"{kind} of {role}", float(value), names)
                continue
            note(f"{_DISTANCES[kind]} of {role}", float(value), names)
            before = history.get((kind, column), [])[-WINDOW:]
            if len(before) >= LEAST_BATCHES and value > max(before):
                relative = (value - max(before)) / (max(before) - min(before) + 0.01)
                note(f"relative {_DISTANCES[kind]} of {role}", relative, names)
    return scores


def attach_soda(run: TableRun, folder: Path) -> None:
    """Add the scores of Soda's anomaly detection on days with injected faults, if there are any.

    The score is the distance from the middle of the limits, as a multiple of half their width.
    """
    path = folder / f"{run.table}.soda_anomaly.json"
    if not path.exists():
        return
    limits = json.loads(path.read_text())
    document = json.loads((folder / f"{run.table}.json").read_text())
    for delivery in [*run.clean, *run.altered]:
        history = document["histories"].get(delivery.day)
        if history is None or delivery.broken is not None:
            continue
        scores: Scores = {}
        values = history["values"][str(delivery.unit)]
        figures = zip(history["figures"], limits[delivery.day], values, strict=True)
        for (statistic, column), pair, value in figures:
            if pair is None or value is None:
                continue
            role = document["roles"].get(column, "table")
            names = tuple(document["clock"]) if column == EVENT_TIME else (column,)
            middle, half = (pair[0] + pair[1]) / 2, (pair[1] - pair[0]) / 2
            distance = abs(value - middle)
            score = min(distance / half, MOST) if half > 0 else MOST * (distance > 0)
            kind = f"{statistic} of {role}"
            if score > scores.get(kind, (0.0, ()))[0]:
                scores[kind] = score, names if column else ()
        delivery.scores["Soda"] = scores
