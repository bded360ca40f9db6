"""Evidence from gates and sources: data that are missing, blocked, quarantined or stale."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.clock import DAY, duration_text
from headrace.core.errors import DeclarationError
from headrace.monitoring.evidence.model import Evidence, Severity, Window, day_number, day_text

ABSENT = {
    "MISSING": "was not delivered",
    "BLOCK": "is blocked by its gate",
    "ERROR": "has a gate that could not be run",
}
PUBLISHED = frozenset({"PASS", "WARN", "QUARANTINE"})


@dataclass(frozen=True)
class Slot:
    """Gate verdict on one partition of a table. `day` is None if the partition is not a day."""

    table: str
    day: int | None
    verdict: str
    delivered: int = 0
    quarantined: int = 0
    contract: str = ""
    known_at: int | None = None


def read_slots(values: Iterable[Mapping[str, Any]]) -> list[Slot]:
    """Return slots from dicts with table, slot, verdict and optionally other fields of `Slot`."""
    return [_read(value) for value in values]


def _read(value: Mapping[str, Any]) -> Slot:
    verdict = str(getattr(value["verdict"], "name", value["verdict"])).upper()
    if verdict not in ABSENT and verdict not in PUBLISHED:
        raise DeclarationError(
            f"unknown verdict {verdict!r}",
            where=f"{value['table']} {value['slot']}",
            fix=f"use one of {', '.join([*sorted(PUBLISHED), *ABSENT])}",
        )
    try:
        day = day_number(str(value["slot"]))
    except ValueError:
        day = None
    return Slot(
        str(value["table"]),
        day,
        verdict,
        int(value.get("delivered") or 0),
        int(value.get("quarantined") or 0),
        str(value.get("contract") or ""),
        value.get("known_at"),
    )


Days = Mapping[int, Sequence[Slot]]


def by_day(slots: Iterable[Slot]) -> dict[str, dict[int, list[Slot]]]:
    """Return {table: {day: its slots}}; slots that are not days are excluded."""
    tables: dict[str, dict[int, list[Slot]]] = {}
    for slot in slots:
        if slot.day is not None:
            tables.setdefault(slot.table, {}).setdefault(slot.day, []).append(slot)
    return tables


def slot_evidence(
    window: Window, earlier: Sequence[Window], tables: Mapping[str, Days], floor: float
) -> list[Evidence]:
    """Return evidence of absent partitions, unusual quarantine and changed contracts, by table."""
    findings: list[Evidence] = []
    for table, days in sorted(tables.items()):
        slots, before = _within(days, window), [_within(days, window) for window in earlier]
        findings += [
            *_absent(window, table, slots),
            *_quarantine(window, table, slots, before, floor),
            *_contract(window, table, slots, before),
        ]
    return findings


def _within(days: Days, window: Window) -> list[Slot]:
    return [slot for day in range(window.first, window.end) for slot in days.get(day, ())]


def _absent(window: Window, table: str, slots: Sequence[Slot]) -> list[Evidence]:
    findings = []
    for verdict, words in ABSENT.items():
        days = sorted(
            slot.day for slot in slots if slot.verdict == verdict and slot.day is not None
        )
        if days:
            dates = ", ".join(day_text(day) for day in days)
            sentence = f"{table} {words}: {dates}."
            subject = f"{table}:{verdict.lower()}"
            findings.append(
                Evidence("data_fault", window, subject, len(days), 0, "alarm", sentence)
            )
    return findings


def _share(slots: Sequence[Slot]) -> float:
    delivered = sum(slot.delivered for slot in slots)
    return sum(slot.quarantined for slot in slots) / delivered if delivered else 0.0


def _quarantine(
    window: Window,
    table: str,
    slots: Sequence[Slot],
    earlier: Sequence[Sequence[Slot]],
    floor: float,
) -> list[Evidence]:
    limit = max(floor, 2 * max(map(_share, earlier), default=0.0))
    share = _share(slots)
    if share <= limit:
        return []
    severity: Severity = "alarm" if share > 2 * limit else "notice"
    sentence = (
        f"{share:.1%} of the rows of {table} were quarantined; its own past allows {limit:.1%}."
    )
    return [Evidence("data_fault", window, f"{table}:quarantine", share, limit, severity, sentence)]


def _contract(
    window: Window, table: str, slots: Sequence[Slot], earlier: Sequence[Sequence[Slot]]
) -> list[Evidence]:
    now = {slot.contract for slot in slots if slot.contract}
    before = {slot.contract for window_slots in earlier for slot in window_slots if slot.contract}
    new = sorted(now - before)
    if not new or not before:
        return []
    sentence = f"The contract of {table} changed to {', '.join(contract[:12] for contract in new)}."
    return [Evidence("contract", window, table, len(new), 0, "notice", sentence)]


def stale_evidence(
    window: Window, closes: int, slots: Sequence[Slot], max_age: Mapping[str, int]
) -> list[Evidence]:
    """Return evidence of tables whose content at `closes` (us) is older than `max_age` allows."""
    findings = []
    for table, limit in sorted(max_age.items()):
        ends = [
            end for slot in slots
            if slot.table == table and slot.verdict in PUBLISHED
            and (end := _holds_until(slot, window, closes)) is not None
        ]  # fmt: skip
        age = closes - max(ends) if ends else None
        if age is None or age > limit:
            words = (
                f"is {duration_text(age // DAY * DAY)} old"
                if age is not None
                else "was never published"
            )
            sentence = f"{table} {words}; at most {duration_text(limit)} is declared."
            statistic = age / DAY if age is not None else float("inf")
            findings.append(
                Evidence("staleness", window, table, statistic, limit / DAY, "alarm", sentence)
            )
    return findings


def _holds_until(slot: Slot, window: Window, closes: int) -> int | None:
    """Return the time up to which a partition has content; None if it is later than the window."""
    if slot.known_at is not None:
        return slot.known_at if slot.known_at <= closes else None
    if slot.day is None or slot.day >= window.end:
        return None
    return closes - (window.end - slot.day - 1) * DAY
