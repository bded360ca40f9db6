"""Peers with the settings under which they are reported, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.gate_bank_peers.run import Delivery, TableRun, deliveries
from bench.gate_bank_peers.tuning import Margins, alarm, kinds_of, tuned

# Shares of clean days that may alarm on a new table: about those on which our gate warns or blocks,
# and those that it blocks.
FEW, FEWEST = 0.02, 0.005
Choose = Callable[[Sequence[TableRun], str], Margins]


@dataclass(frozen=True)
class Setting:
    """Setting of a peer.

    Attributes:
        scores: name of the peer's scores.
        choose: margins, given the runs on the tables of the bank.
        tuned: True if margins depend on these runs.
        beside: verdicts of Headrace that raise about as many false alarms.
    """

    name: str
    setting: str
    scores: str
    choose: Choose
    tuned: bool = True
    beside: str = "blocked or warned"


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
    Setting(GX, f"tuned, {FEW:.1%}", "Great Expectations", few(FEW)),
    Setting(GX, f"tuned, {FEWEST:.1%}", "Great Expectations", few(FEWEST), beside="blocked"),
    Setting(TFDV, f"tuned, {FEW:.1%}", "TFDV", few(FEW)),
    Setting(TFDV, f"tuned, {FEWEST:.1%}", "TFDV", few(FEWEST), beside="blocked"),
    Setting(ELEMENTARY, "sensitivity 3", "Elementary", fixed(3.0), tuned=False),
    Setting(ELEMENTARY, f"with dbt's tests, tuned, {FEW:.1%}", "Elementary and dbt", few(FEW)),
    Setting(ELEMENTARY, f"with dbt's tests, tuned, {FEWEST:.1%}", "Elementary and dbt",
            few(FEWEST), beside="blocked"),
    Setting(SODA, "as installed", "Soda", fixed(1.0), tuned=False),
    Setting(SODA, f"tuned, {FEW:.1%}", "Soda", few(FEW)),
)  # fmt: skip


def results(runs: Sequence[TableRun]) -> list[dict[str, Any]]:
    """Return the counts of Headrace and of each setting that has scores, by part of the tables."""
    lines = []
    for left_out in (True, False):
        part = [run for run in runs if run.left_out == left_out]
        if not part:
            continue
        clean, altered = deliveries(part, "clean"), deliveries(part, "altered")
        lines += [
            {**_counts("Headrace", setting, left_out, clean, altered, named), "tables": len(part)}
            for setting, named in (("blocked", _blocked), ("blocked or warned", _warned))
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
            clean = [
                d
                for d in deliveries(part, "clean")
                if setting.scores in d.scores or d.broken is not None
            ]
            altered = deliveries(part, "altered")

            def named(delivery: Delivery) -> tuple[str, ...] | None:
                return alarm(delivery, setting.scores, margins)  # noqa: B023

            if part:
                counts = _counts(setting.name, setting.setting, left_out, clean, altered, named)
                used = {k: round(m, 4) for k, m in margins.items() if m < float("inf")}
                lines.append(
                    {
                        **counts,
                        "tables": len(part),
                        "beside": setting.beside,
                        "margins": used,
                        "ours": _ours(setting.beside, clean, altered),
                    }
                )
    return lines


def _ours(setting: str, clean: Sequence[Delivery], altered: Sequence[Delivery]) -> dict[str, int]:
    """Return the counts of Headrace on the days and faults of a peer."""
    named = {"blocked": _blocked, "blocked or warned": _warned}[setting]
    return {
        "stopped": sum(named(d) is not None for d in altered),
        "alarmed": sum(named(d) is not None for d in clean),
    }


def _is_scored(run: TableRun, peer: str) -> bool:
    return any(peer in d.scores for d in [*run.clean, *run.altered])


def _blocked(delivery: Delivery) -> tuple[str, ...] | None:
    return delivery.ours_columns or ("",) if delivery.ours == "stopped" else None


def _warned(delivery: Delivery) -> tuple[str, ...] | None:
    return delivery.ours_columns or ("",) if delivery.ours != "passed" else None


def _counts(
    name: str,
    setting: str,
    left_out: bool,
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
        "left_out": left_out,
        "scopes": scopes,
        "in_columns": len(in_columns),
        "column_right": right,
        "column_wrong": wrong,
        "clean_days": len(clean),
        "alarmed": sum(named(d) is not None for d in clean),
        "faults": by_fault,
    }
