"""Run other monitors on the windows of a study, in environments of their own.

The windows without and with faults are written as Parquet, the peers' scripts return numbers for
each window, and `bench.monitoring_settings` derives alarms from these numbers. The first six
windows with scores, on which peers are fitted, are not counted; the results of Headrace are for the
same windows. The `flights` of the tuning histories are excluded, because peers take too long for
its seventy columns.

The comparison favours the peers: their reference never has faults, a fault counts as detected in a
window in which they raise an alarm anyway, and a data fault counts as attributed even if the
relation raises an alarm as well.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import peer_env
from bench.monitoring_settings import MOST_CONCEPT, MOST_DATA, SETTINGS, Seen, Setting, chosen
from headrace.monitoring.evidence.model import Window
from headrace.sketches import kind_of
from headrace.verification.drift_study.cases import Cases, StudyCase, rows_by_window
from headrace.verification.drift_study.engine import Prepared
from headrace.verification.drift_study.scoring import (
    FaultOutcome,
    Natural,
    by_fault,
    data_alarm,
    groups,
    naturals_together,
)

SCRIPTS = Path(__file__).with_name("peers")
LEFT_OUT = frozenset({"flights"})
FITTED = 6  # see peers/monitoring_nannyml.py
Numbers = dict[str, dict[str, Any]]


def write(cases: Cases, folder: Path) -> None:
    """Write the windows of a study, which `peers/monitoring_units.py` reads."""
    about = [_history(one, cases, folder) for one in _chosen(cases)]
    (folder / "MANIFEST.json").write_text(json.dumps({"histories": about}))


def _chosen(cases: Cases) -> list[Prepared]:
    return [one for name, one in cases.prepared.items() if name not in LEFT_OUT]


def _history(prepared: Prepared, cases: Cases, folder: Path) -> dict[str, Any]:
    history, windows = prepared.history, calm(prepared)
    name = history.name
    rows = rows_by_window(history, prepared.windows, windows)
    pq.write_table(_plain(rows), folder / f"{name}.parquet")
    planted = []
    for at, case in enumerate(cases.cases):
        if case.history == name:
            pq.write_table(_plain(case.rows), folder / f"case-{at}.parquet")
            planted.append({"id": str(at), "rows": f"case-{at}.parquet"})
    kinds = {n: kind_of(history.frame.schema.field(n)) for n in history.watched}
    return {
        "name": name,
        "rows": f"{name}.parquet",
        "numbers": [n for n, kind in kinds.items() if kind != "level"],
        "texts": [n for n, kind in kinds.items() if kind == "level"],
        "first_scored": first_scored(prepared),
        "cases": planted,
    }


def calm(prepared: Prepared) -> list[Window]:
    """Return the windows before a known drift."""
    since = prepared.history.drift_from
    closes = prepared.spec.closes
    return [one for one in prepared.windows if since is None or closes(one) <= since]


def first_scored(prepared: Prepared) -> int:
    """Return the index of the first window whose rows all have scores."""
    day = int(prepared.history.day[prepared.history.first_scored])
    return next(at for at, one in enumerate(prepared.windows) if one.first >= day)


def _plain(rows: pa.Table) -> pa.Table:
    """Cast numbers to float64, so that a null is NaN in every peer."""
    for at, field in enumerate(rows.schema):
        if field.name not in {"t", "window"} and kind_of(field) != "level":
            rows = rows.set_column(at, field.name, rows.column(at).cast(pa.float64()))
    return rows


def environment() -> dict[str, str]:
    """Return variables for a peer's process, which disable telemetry and warnings."""
    quiet = {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
    return {**peer_env.environment(), **quiet, "PYTHONWARNINGS": "ignore"}


def ask(name: str, folder: Path) -> Numbers:
    """Run the script of a peer, and return {history:unit: its numbers}."""
    script = SCRIPTS / f"monitoring_{name}.py"
    command = [str(peer_env.python(name)), str(script), str(folder)]
    subprocess.run(command, check=True, env=environment(), stdout=sys.stderr)
    found: Numbers = json.loads((folder / f"{name}.json").read_text())
    return found


def peers(cases: Cases) -> list[dict[str, Any]]:
    """Return results of Headrace, then of every peer setting, on the same windows and faults."""
    with TemporaryDirectory(prefix="monitoring-peers-") as name:
        folder = Path(name)
        write(cases, folder)
        said = {peer: ask(peer, folder) for peer in ("evidently", "nannyml")}
    windows = {one.history.name: _windows(one, said) for one in _chosen(cases)}
    return [_ours(cases, windows), *(_judged(one, cases, windows, said) for one in SETTINGS)]


Windows = dict[int, Seen]


def _unit(said: Mapping[str, Numbers], name: str) -> dict[str, Any]:
    return {peer: found[name] for peer, found in said.items() if name in found}


def _windows(prepared: Prepared, said: Mapping[str, Numbers]) -> Windows:
    """Return {index of the window: numbers of the peers} for the counted windows without faults."""
    name, first = prepared.history.name, first_scored(prepared)
    last = len(calm(prepared))
    units = [_unit(said, f"{name}:untouched:{at}") for at in range(first, last)]
    fitted = units[:FITTED]
    return {
        first + at: Seen(units[at], units[:at], fitted) for at in range(FITTED, len(units))
    }  # fmt: skip


def _judged(
    setting: Setting, cases: Cases, windows: Mapping[str, Windows], said: Mapping[str, Numbers]
) -> dict[str, Any]:
    tuning = [
        seen
        for name, found in windows.items()
        if cases.prepared[name].history.part == "tuning"
        for seen in found.values()
    ]
    data = chosen(setting.data, tuning, MOST_DATA) if setting.tuned and tuning else 1.0
    concept = chosen(setting.concept, tuning, MOST_CONCEPT) if setting.tuned and tuning else 1.0

    def alarms(seen: Seen) -> tuple[bool, bool]:
        return setting.data(seen, data), setting.concept(seen, concept)

    naturals = [
        _natural(cases.prepared[name], [alarms(seen) for seen in found.values()])
        for name, found in windows.items()
    ]
    outcomes = []
    for at, case in enumerate(cases.cases):
        places = windows.get(case.history, {})
        if all(place in places for place in case.windows):
            told = []
            for place in case.windows:
                now = _unit(said, f"{case.history}:{at}:{place}")
                told.append(alarms(replace(places[place], now=now)))
            outcomes.append(_outcome(case, told))
    found = _told(setting.name, setting.setting, naturals, outcomes)
    return found | ({"sizes": [data, concept]} if setting.tuned else {})


def _outcome(case: StudyCase, told: list[tuple[bool, bool]]) -> FaultOutcome:
    loud = next((at for at, alarms in enumerate(told) if any(alarms)), None)
    cause = "none" if loud is None else _cause(case, *told[loud])
    return replace(
        case.monitor_outcome,
        cause=cause,
        waited=0 if loud is None else loud + 1,
        located=False,
        retrained=0,
    )


def _cause(case: StudyCase, data: bool, concept: bool) -> str:
    if data and concept:
        return "data" if case.fault.kind == "data" else "both"
    return "data" if data else "concept"


def _natural(prepared: Prepared, alarms: list[tuple[bool, bool]]) -> Natural:
    history = prepared.history
    data, concept = (sum(one[side] for one in alarms) for side in (0, 1))
    count = len(alarms)
    return Natural(history.name, history.part, count, data, count, concept, 0.0, 0)


def _ours(cases: Cases, windows: Mapping[str, Windows]) -> dict[str, Any]:
    """Return the results of Headrace's monitor on the same windows and faults."""
    naturals = []
    for name, places in windows.items():
        prepared = cases.prepared[name]
        results = [prepared.natural[place] for place in places]
        said = [
            (data_alarm(one, prepared), one.attribution.cause in {"concept", "both"})
            for one in results
        ]
        naturals.append(_natural(prepared, said))
    same = [
        case.monitor_outcome
        for case in cases.cases
        if all(place in windows.get(case.history, {}) for place in case.windows)
    ]
    return _told("Headrace", "the project's policy", naturals, same)


def _told(
    name: str, setting: str, naturals: Iterable[Natural], outcomes: list[FaultOutcome]
) -> dict[str, Any]:
    reported = [one for one in naturals if one.part != "tuning"]
    histories = [
        {"history": one.history, "windows": one.windows, "data_alarms": one.data_alarms,
         "concept_alarms": one.concept_alarms}
        for one in reported
    ]  # fmt: skip
    return {
        "name": name,
        "setting": setting,
        "natural": {**naturals_together(reported), "histories": histories},
        "faults": by_fault(outcomes),
        "groups": groups(outcomes),
    }
