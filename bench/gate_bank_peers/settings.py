"""Peers with the settings under which they are reported, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.gate_bank_peers.run import Delivery, TableRun, deliveries
from bench.gate_bank_peers.tuning import (
    Margins,
    alarm,
    factor_for,
    kinds_of,
    scaled,
    shapes,
    tuned,
)

FEW = 0.02  # share of clean days that may alarm on a new table
Choose = Callable[[Sequence[TableRun], str], Margins]


@dataclass(frozen=True)
class Setting:
    """Setting of a peer.

    Attributes:
        scores: name of the peer's scores.
        choose: margins, given the runs on the tables of the bank.
        tuned: True if margins depend on these runs.
    """

    name: str
    setting: str
    scores: str
    choose: Choose
    tuned: bool = True


def fixed(margin: float) -> Choose:
    """Return the same margin for all checks, whatever the tables."""

    def choose(runs: Sequence[TableRun], peer: str) -> Margins:
        every = [*deliveries(runs, "clean"), *deliveries(runs, "altered")]
        return dict.fromkeys(kinds_of(every, peer), margin)

    return choose


def few(most: float) -> Choose:
    """Choose margins under which at most this share of the clean days of a new table alarms."""
    return lambda runs, peer: tuned(runs, peer, most)


GX, ELEMENTARY, TFDV, SODA = (
    "Great Expectations", "z-scores as in Elementary", "TensorFlow Data Validation",
    "Soda anomaly detection",
)  # fmt: skip
SETTINGS = (
    Setting(GX, "ranges of the window", "Great Expectations", fixed(0.0), tuned=False),
    Setting(GX, "tuned", "Great Expectations", few(FEW)),
    Setting(ELEMENTARY, "sensitivity 3", "Elementary", fixed(3.0), tuned=False),
    Setting(ELEMENTARY, "with dbt's tests, tuned", "Elementary and dbt", few(FEW)),
    Setting(TFDV, "tuned", "TFDV", few(FEW)),
    Setting(SODA, "as installed", "Soda", fixed(1.0), tuned=False),
)  # fmt: skip
# Peers that judge enough clean days for a comparison at an equal share of alarms, and their scores.
EQUAL = ((GX, "Great Expectations"), (ELEMENTARY, "Elementary and dbt"), (TFDV, "TFDV"))
OURS = ("blocked or warned", "blocked")


def results(runs: Sequence[TableRun]) -> list[dict[str, Any]]:
    """Return the counts of Headrace and of each setting that has scores, by part of the tables."""
    lines = []
    for left_out in (True, False):
        part = [run for run in runs if run.left_out == left_out]
        if part:
            clean, altered = deliveries(part, "clean"), deliveries(part, "altered")
            lines += [
                {**_counts("Headrace", name, clean, altered, _NAMED[name]), **_origin(part)}
                for name in OURS
            ]
    bank = [run for run in runs if not run.left_out]
    for setting in SETTINGS:
        scored = [run for run in runs if _is_scored(run, setting.scores)]
        tuning = [run for run in bank if run in scored]
        if not scored or (setting.tuned and not tuning):
            continue
        margins = setting.choose(tuning if setting.tuned else scored, setting.scores)
        for left_out in (True, False):
            part = [run for run in scored if run.left_out == left_out]
            if part:
                counts = _of_peer(setting.name, setting.setting, setting.scores, part, margins)
                lines.append(counts)
    return lines


def equal_alarms(runs: Sequence[TableRun]) -> list[dict[str, Any]]:
    """Return the counts of peers that raise as many false alarms as Headrace.

    Shapes of margins are chosen on the tables of the bank, and their factor and the best shape on
    the days and faults of the left-out tables themselves, which is in the peers' favour.
    """
    lines = []
    for verdicts in OURS:
        for name, peer in EQUAL:
            scored = [run for run in runs if _is_scored(run, peer)]
            part = [run for run in scored if run.left_out]
            bank = [run for run in scored if not run.left_out]
            if not part or not bank:
                continue
            clean, altered = _judged(part, peer), deliveries(part, "altered")
            ours = _counts("Headrace", verdicts, clean, altered, _NAMED[verdicts])
            candidates = []
            for shape, margins in shapes(bank, peer, FEW):
                factor = factor_for(clean, peer, margins, ours["alarmed"])
                candidates.append(_of_peer(name, shape, peer, part, scaled(margins, factor)))
            # Fewest alarms beyond ours first: some shapes cannot be as silent.
            best = min(candidates, key=lambda c: (_excess(c, ours), -_stopped(c)))
            ours |= {**_origin(part), "setting": verdicts}
            lines.append({**best, "beside": verdicts, "ours": ours, "chosen_on": len(bank)})
    return lines


def _excess(counts: dict[str, Any], ours: dict[str, Any]) -> int:
    """Return how many more clean days alarm than for Headrace, in steps of a tenth of a percent."""
    more = max(0, counts["alarmed"] - ours["alarmed"]) / max(1, ours["clean_days"])
    return int(1000 * more)


def _stopped(counts: dict[str, Any]) -> int:
    return sum(scope["stopped"] for scope in counts["scopes"].values())


def _of_peer(
    name: str, setting: str, peer: str, part: Sequence[TableRun], margins: Margins
) -> dict[str, Any]:
    def named(delivery: Delivery) -> tuple[str, ...] | None:
        return alarm(delivery, peer, margins)

    counts = _counts(name, setting, _judged(part, peer), deliveries(part, "altered"), named)
    used = {kind: round(m, 4) for kind, m in margins.items() if m < float("inf")}
    return {**counts, **_origin(part), "margins": used}


def _origin(part: Sequence[TableRun]) -> dict[str, Any]:
    return {"left_out": part[0].left_out, "tables": [run.table for run in part]}


def _judged(part: Sequence[TableRun], peer: str) -> list[Delivery]:
    """Return the clean days that a peer judges."""
    return [d for d in deliveries(part, "clean") if peer in d.scores or d.broken is not None]


def _is_scored(run: TableRun, peer: str) -> bool:
    return any(peer in d.scores for d in [*run.clean, *run.altered])


def _blocked(delivery: Delivery) -> tuple[str, ...] | None:
    return delivery.ours_columns or ("",) if delivery.ours == "stopped" else None


def _warned(delivery: Delivery) -> tuple[str, ...] | None:
    return delivery.ours_columns or ("",) if delivery.ours != "passed" else None


_NAMED = {"blocked": _blocked, "blocked or warned": _warned}


def _counts(
    name: str,
    setting: str,
    clean: Sequence[Delivery],
    altered: Sequence[Delivery],
    named: Callable[[Delivery], tuple[str, ...] | None],
) -> dict[str, Any]:
    """Count faults stopped by scope and by fault, columns named rightly, and clean days alarmed."""
    alarms = [(delivery, named(delivery)) for delivery in altered]
    by_fault: dict[str, dict[str, Any]] = {}
    for delivery, columns in alarms:
        counts = by_fault.setdefault(
            delivery.fault, {"scope": delivery.scope, "injected": 0, "stopped": 0}
        )
        counts["injected"] += 1
        counts["stopped"] += columns is not None
    scopes = {
        scope: {
            "injected": sum(c["injected"] for c in by_fault.values() if c["scope"] == scope),
            "stopped": sum(c["stopped"] for c in by_fault.values() if c["scope"] == scope),
        }
        for scope in ("batch", "part")
    }
    in_columns = [(d, columns) for d, columns in alarms if d.columns]
    right = sum(bool(set(columns or ()) & set(d.columns)) for d, columns in in_columns)
    wrong = sum(
        columns is not None and not set(columns) & set(d.columns) and columns != ("",)
        for d, columns in in_columns
    )
    return {
        "peer": name,
        "setting": setting,
        "scopes": scopes,
        "in_columns": len(in_columns),
        "column_right": right,
        "column_wrong": wrong,
        "clean_days": len(clean),
        "alarmed": sum(named(d) is not None for d in clean),
        "faults": by_fault,
    }
