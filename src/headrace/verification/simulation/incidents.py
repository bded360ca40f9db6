"""Random plan of incidents; equal arguments give equal plans, so a simulation can be repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from headrace.core.clock import DAY, HOUR, iso, parse_iso
from headrace.lake.table import SNAPSHOT_SLOT
from headrace.verification.simulation import delivery_faults

# Kinds of faulty deliveries, which the producer repairs later -> function that injects the fault.
FAULTY: Mapping[str, delivery_faults.Alter] = {
    "partial": delivery_faults.half,
    "truncated": delivery_faults.cut,
    "corrupt": delivery_faults.corrupt,
    "empty": delivery_faults.empty,
    "renamed column": delivery_faults.renamed,
    "unit changed": delivery_faults.unit,
    "stuck sensor": delivery_faults.stuck,
    "type changed": delivery_faults.retyped,
    "wrong day": delivery_faults.wrong_day,
    "extra column": delivery_faults.wider,
}
# Unusual deliveries with correct content.
ODD = ("late", "a week late", "twice", "twice, other bytes", "clock went back")
LATE = ("late", "a week late")
DRIFT = ("population drift",)
DOWN = ("down for hours", "down for days")
MACHINE = ("daemon killed", "power lost", "disk full")
KINDS = (*FAULTY, *ODD, *DRIFT, *DOWN, *MACHINE)
# Faults that snapshot tables can also have.
_SNAPSHOT_FAULTS = ("renamed column", "type changed")
_TRIES = 40  # number of attempts to place an incident of a kind
# Minimum number of days that an incident of a kind occupies its table; default: 1.
_SPAN = {"a week late": 8, "down for days": 5, "late": 3, "population drift": 6}


@dataclass(frozen=True)
class SimulatedIncident:
    """One planned incident.

    Attributes:
        name: `i01` and so on, in order of time.
        kind: one of `KINDS`.
        table: the affected table; "" if the whole machine is affected.
        slot: the first affected partition.
        begins: start, int64 microseconds UTC; for a delivery, its usual time of arrival.
        ends: time of the repair, of the late delivery or of the recovery.
        beside: True if the faulty file stays visible beside the repaired one.
    """

    name: str
    kind: str
    table: str
    slot: str
    begins: int
    ends: int
    beside: bool = False

    def concerns(self, table: str, slot: str) -> bool:
        """Return True if the incident may affect a partition of a table."""
        if self.kind in MACHINE:
            return False
        if self.table != table:
            return False
        if self.kind in (*DOWN, *DRIFT) and slot != SNAPSHOT_SLOT:
            return self.begins - 2 * DAY <= parse_iso(slot) <= self.ends + DAY
        return self.slot == slot

    def document(self) -> dict[str, str]:
        return {
            "incident": self.name,
            "kind": self.kind,
            "table": self.table,
            "slot": self.slot,
            "begins": iso(self.begins),
            "ends": iso(self.ends),
        }


@dataclass(frozen=True)
class Chance:
    """Incidents that a table can have.

    Attributes:
        table: name of the table.
        slots: partition -> arrival of its only delivery (int64 microseconds UTC), in order.
        side_by_side: True if several deliveries of a partition stay visible.
        kinds: kinds of incidents that are possible here.
    """

    table: str
    slots: Mapping[str, int]
    side_by_side: bool
    kinds: frozenset[str]


def plan(
    chances: Sequence[Chance], first: int, last: int, count: int, seed: int
) -> list[SimulatedIncident]:
    """Plan `count` incidents between two times, all kinds in turn, one at a time per table.

    Fewer incidents are planned if not all fit. The same arguments give the same plan.
    """
    chance = Random(seed)  # noqa: S311 - a plan, no secret
    kinds = _in_turn(chance)
    busy: dict[str, list[tuple[int, int]]] = {}
    incidents: list[SimulatedIncident] = []
    misses = 0
    while len(incidents) < count and misses < len(KINDS):
        kind = next(kinds)
        tries = (_try(kind, chances, first, last, busy, chance) for _ in range(_TRIES))
        candidate = next((try_ for try_ in tries if try_ is not None), None)
        if candidate is None:
            misses += 1
            continue
        misses = 0
        busy.setdefault(candidate.table, []).append((candidate.begins, _until(candidate)))
        incidents.append(candidate)
    incidents.sort(key=lambda incident: (incident.begins, incident.table, incident.kind))
    width = len(str(count))
    return [
        SimulatedIncident(
            f"i{n:0{width}}",
            incident.kind,
            incident.table,
            incident.slot,
            incident.begins,
            incident.ends,
            incident.beside,
        )
        for n, incident in enumerate(incidents, 1)
    ]


def _in_turn(chance: Random) -> Iterator[str]:
    while True:
        yield from chance.sample(KINDS, len(KINDS))


def _until(incident: SimulatedIncident) -> int:
    return max(incident.ends, incident.begins + _SPAN.get(incident.kind, 1) * DAY)


def _try(  # noqa: PLR0917
    kind: str,
    chances: Sequence[Chance],
    first: int,
    last: int,
    busy: Mapping[str, list[tuple[int, int]]],
    chance: Random,
) -> SimulatedIncident | None:
    """Return a random incident of the kind, or None if it does not fit."""
    if kind in MACHINE:
        begins = _any_time(first, last, chance)
        incident = SimulatedIncident("", kind, "", "", begins, begins + 12 * HOUR)
        return incident if begins and _free(incident, busy) else None
    able = [chance for chance in chances if kind in chance.kinds]
    if not able:
        return None
    option = chance.choice(able)
    slot, begins = _place(option, first, last, chance)
    if not begins:
        return None
    ends = begins + _lasting(kind, chance)
    incident = SimulatedIncident(
        "", kind, option.table, slot, begins, ends, option.side_by_side and chance.random() < 0.5
    )
    return incident if _free(incident, busy) else None


def _place(option: Chance, first: int, last: int, chance: Random) -> tuple[str, int]:
    """Return a random partition and its delivery time; the time is 0 if there is none.

    For a snapshot table the time is random.
    """
    if SNAPSHOT_SLOT in option.slots:
        return SNAPSHOT_SLOT, _any_time(first, last, chance)
    slots = [(slot, at) for slot, at in option.slots.items() if first <= at <= last]
    return chance.choice(slots) if slots else ("", 0)


def _any_time(first: int, last: int, chance: Random) -> int:
    """Return a random time before `last`, a whole number of hours after `first`; 0 if none fits."""
    return chance.randrange(first + HOUR, last, HOUR) if first + HOUR < last else 0


def _lasting(kind: str, chance: Random) -> int:
    hours: dict[str, Callable[[], int]] = {
        "late": lambda: chance.choice((24, 36, 48)),
        "a week late": lambda: 7 * 24,
        "down for hours": lambda: chance.choice((6, 10)),
        "down for days": lambda: chance.choice((50, 74, 98)),
        "clock went back": lambda: 0,
        "population drift": lambda: 5 * 24,
    }
    return HOUR * hours.get(kind, lambda: chance.choice((10, 14, 26, 38)))()


def _free(incident: SimulatedIncident, busy: Mapping[str, list[tuple[int, int]]]) -> bool:
    """Return True if the table's other incidents are at least a day away (machine: an hour)."""
    gap = DAY if incident.table else HOUR
    return all(
        _until(incident) + gap < begins or until + gap < incident.begins
        for begins, until in busy.get(incident.table, ())
    )


def kinds_for(*, side_by_side: bool, snapshot: bool, able: frozenset[str]) -> frozenset[str]:
    """Return the possible kinds for a table; `able` are the faults that change its deliveries."""
    if snapshot:
        return frozenset({*DOWN, *(kind for kind in _SNAPSHOT_FAULTS if kind in able)})
    odd = {kind for kind in ODD if side_by_side or kind not in {"twice", "clock went back"}}
    return frozenset({*DOWN, *odd, *able})
