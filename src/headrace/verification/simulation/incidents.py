"""The plan of what goes wrong: pure and seeded, so that it can be lived through again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from headrace.core.clock import DAY, HOUR, iso, parse_iso
from headrace.lake.table import SNAPSHOT_SLOT
from headrace.verification.simulation import delivery_faults

# Deliveries with a fault, which the producer repairs some time later: kind -> what is wrong.
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
# What is right as it is, however odd it looks.
ODD = ("late", "a week late", "twice", "twice, other bytes", "clock went back")
LATE = ("late", "a week late")
DRIFT = ("population drift",)
DOWN = ("down for hours", "down for days")
MACHINE = ("daemon killed", "power lost", "disk full")
KINDS = (*FAULTY, *ODD, *DRIFT, *DOWN, *MACHINE)
# Faults that a table which comes whole may have, too.
_WHOLE = ("renamed column", "type changed")
_TRIES = 40  # places that are tried for a kind before there is no room for it
# Days that a kind may take up.
_SPAN = {"a week late": 8, "down for days": 5, "late": 3, "population drift": 6}


@dataclass(frozen=True)
class Incident:
    """One thing that goes wrong.

    Attributes:
        name: `i01` and so on, in order of time.
        kind: one of `KINDS`.
        table: "" where the whole machine is meant.
        slot: the slot it begins with.
        begins: int64 microseconds UTC; of a faulty or odd delivery its ordinary time.
        ends: when it is repaired, delivered or up again.
        beside: whether the bad file stays beside the repaired one.
    """

    name: str
    kind: str
    table: str
    slot: str
    begins: int
    ends: int
    beside: bool = False

    def concerns(self, table: str, slot: str) -> bool:
        """Whether a slot of a table is one of those it may disturb."""
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
    """What may happen to a table.

    Attributes:
        slots: slot -> when its one delivery comes, int64 microseconds UTC, in order.
        keeps: whether deliveries lie side by side.
        kinds: those that change something here.
    """

    table: str
    slots: Mapping[str, int]
    keeps: bool
    kinds: frozenset[str]


def plan(chances: Sequence[Chance], first: int, last: int, count: int, seed: int) -> list[Incident]:
    """`count` incidents between two moments, at most one at a time in a table; every kind in turn.

    Fewer, where there is no room for more. The same arguments make the same plan.
    """
    chance = Random(seed)  # noqa: S311 - a plan, no secret
    kinds = _in_turn(chance)
    taken: dict[str, list[tuple[int, int]]] = {}
    found: list[Incident] = []
    misses = 0
    while len(found) < count and misses < len(KINDS):
        kind = next(kinds)
        tries = (_try(kind, chances, first, last, taken, chance) for _ in range(_TRIES))
        made = next((try_ for try_ in tries if try_ is not None), None)
        if made is None:
            misses += 1
            continue
        misses = 0
        taken.setdefault(made.table, []).append((made.begins, _until(made)))
        found.append(made)
    found.sort(key=lambda incident: (incident.begins, incident.table, incident.kind))
    width = len(str(count))
    return [
        Incident(f"i{n:0{width}}", one.kind, one.table, one.slot, one.begins, one.ends, one.beside)
        for n, one in enumerate(found, 1)
    ]


def _in_turn(chance: Random) -> Iterator[str]:
    while True:
        yield from chance.sample(KINDS, len(KINDS))


def _until(made: Incident) -> int:
    return max(made.ends, made.begins + _SPAN.get(made.kind, 1) * DAY)


def _try(  # noqa: PLR0917
    kind: str,
    chances: Sequence[Chance],
    first: int,
    last: int,
    taken: Mapping[str, list[tuple[int, int]]],
    chance: Random,
) -> Incident | None:
    """An incident of the kind where there is room for one."""
    if kind in MACHINE:
        begins = _any_time(first, last, chance)
        made = Incident("", kind, "", "", begins, begins + 12 * HOUR)
        return made if begins and _free(made, taken) else None
    able = [chance for chance in chances if kind in chance.kinds]
    if not able:
        return None
    there = chance.choice(able)
    slot, begins = _place(there, first, last, chance)
    if not begins:
        return None
    ends = begins + _lasting(kind, chance)
    made = Incident(
        "", kind, there.table, slot, begins, ends, there.keeps and chance.random() < 0.5
    )
    return made if _free(made, taken) else None


def _place(there: Chance, first: int, last: int, chance: Random) -> tuple[str, int]:
    """A slot and its time, 0 where there is none; of a table that comes whole any time."""
    if SNAPSHOT_SLOT in there.slots:
        return SNAPSHOT_SLOT, _any_time(first, last, chance)
    slots = [(slot, at) for slot, at in there.slots.items() if first <= at <= last]
    return chance.choice(slots) if slots else ("", 0)


def _any_time(first: int, last: int, chance: Random) -> int:
    """A whole number of hours after `first`, before `last`; 0 where there is no such time."""
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


def _free(made: Incident, taken: Mapping[str, list[tuple[int, int]]]) -> bool:
    """A day before and a day after are kept apart, so that one can be told from the other."""
    gap = DAY if made.table else HOUR
    return all(
        _until(made) + gap < begins or until + gap < made.begins
        for begins, until in taken.get(made.table, ())
    )


def kinds_for(*, keeps: bool, whole: bool, able: frozenset[str]) -> frozenset[str]:
    """What may happen at a place: `able` are the faults that change a delivery of its table."""
    if whole:
        return frozenset({*DOWN, *(kind for kind in _WHOLE if kind in able)})
    odd = {kind for kind in ODD if keeps or kind not in {"twice", "clock went back"}}
    return frozenset({*DOWN, *odd, *able})
