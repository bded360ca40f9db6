"""The world outside: deliveries come to their places at their time, as the plan alters them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from headrace.core.clock import DAY
from headrace.lake.table import SNAPSHOT_SLOT, Table
from headrace.sources.delivery_places import Place, Put
from headrace.verification.simulation import delivery_faults
from headrace.verification.simulation.incidents import (
    DOWN,
    DRIFT,
    FAULTY,
    LATE,
    MACHINE,
    Chance,
    Incident,
    kinds_for,
)

_BACK = 30 * DAY  # how far a clock goes back


@dataclass(frozen=True)
class Event:
    """At a place a slot shows these deliveries from now on, or the source goes down or up."""

    at: int
    table: str
    slot: str = ""
    puts: tuple[Put, ...] = ()
    what: str = "show"  # show, close, open


@dataclass
class World:
    """The producers of a pipeline's tables.

    Attributes:
        tables: by name, those that are simulated.
        places: where each one's deliveries are put.
        slots: of each table, in order.
        seed: decides what a fault leaves open.
        final: (table, slot) -> what the producer stands by in the end.
        shown: what is visible now.
        faulty: slots of which a faulty delivery is planned.
        events: all that happens, in order.
    """

    tables: Mapping[str, Table]
    places: Mapping[str, Place]
    slots: Mapping[str, Sequence[str]]
    seed: int
    final: dict[tuple[str, str], tuple[Put, ...]] = field(default_factory=dict)
    shown: dict[tuple[str, str], tuple[Put, ...]] = field(default_factory=dict)
    faulty: set[tuple[str, str]] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    _done: int = 0

    def chances(self) -> list[Chance]:
        """What may happen to each table; only slots of one delivery are chosen for a fault."""
        return [self._chance(name) for name in self.tables]

    def _chance(self, name: str) -> Chance:
        place, single = self.places[name], {}
        sample: tuple[str, Put] | None = None
        for slot in self.slots[name]:
            puts = place.originals(slot)
            if len(puts) == 1:
                single[slot] = puts[0].at
                sample = sample or (slot, puts[0])
        whole = list(self.slots[name]) == [SNAPSHOT_SLOT]
        able = frozenset(kind for kind in FAULTY if sample and self._alters(name, kind, sample))
        if (
            sample
            and delivery_faults.drifted(self._given(name, *sample, b"")) is not None
            and not whole
        ):
            able |= frozenset(DRIFT)
        return Chance(
            name, single, place.keeps, kinds_for(keeps=place.keeps, whole=whole, able=able)
        )

    def _alters(self, name: str, kind: str, sample: tuple[str, Put]) -> bool:
        slot, put = sample
        given = self._given(name, slot, put, b"x")
        return FAULTY[kind](given) not in {None, put.payload}

    def _given(self, name: str, slot: str, put: Put, before: bytes) -> delivery_faults.Given:
        chance = Random(f"{self.seed} {name} {slot}")  # noqa: S311 - no secret
        contract = self.tables[name].contract
        return delivery_faults.Given(put.payload, self.places[name].form, contract, chance, before)

    def prepare(self, incidents: Sequence[Incident], first: int) -> None:
        """Lay out all that will happen; what came before `first` is there from the start."""
        lasting = (*MACHINE, *DOWN, *DRIFT)
        by_slot: dict[tuple[str, str], list[Incident]] = {}
        for one in incidents:
            if one.kind not in lasting:
                by_slot.setdefault((one.table, one.slot), []).append(one)
        drifts = [i for i in incidents if i.kind in DRIFT]
        events: list[Event] = []
        for name in self.tables:
            for slot in self.slots[name]:
                puts = self._drifted(name, slot, drifts)
                self.final[name, slot] = puts
                disturbing = by_slot.get((name, slot), [])
                # A table that comes whole is there at first, and may be disturbed several times.
                if not disturbing or slot == SNAPSHOT_SLOT:
                    events += self._ordinary(name, slot, puts)
                for one in disturbing:
                    events += self._disturbed(one, puts)
        for one in incidents:
            if one.kind in DOWN:
                events.append(Event(one.begins, one.table, what="close"))
                events.append(Event(one.ends, one.table, what="open"))
        order = {"open": 0, "show": 1, "close": 2}
        self.events = sorted(events, key=lambda e: (max(e.at, first), order[e.what], e.slot))

    def _drifted(self, name: str, slot: str, drifts: Sequence[Incident]) -> tuple[Put, ...]:
        """What the producer delivers, in a world that may have changed."""
        puts = tuple(self.places[name].originals(slot))
        for drift in drifts:
            if drift.table == name and len(puts) == 1 and drift.begins <= puts[0].at <= drift.ends:
                changed = delivery_faults.drifted(self._given(name, slot, puts[0], b""))
                return puts if changed is None else (replace(puts[0], payload=changed),)
        return puts

    def _ordinary(self, name: str, slot: str, puts: Sequence[Put]) -> Iterator[Event]:
        for count, put in enumerate(puts, 1):
            yield Event(put.at, name, slot, tuple(puts[:count]))

    def _disturbed(self, incident: Incident, puts: Sequence[Put]) -> Iterator[Event]:
        name, slot = incident.table, incident.slot
        good, keeps = puts[-1], self.places[name].keeps
        repaired = replace(good, at=incident.ends)
        if incident.kind in LATE:
            yield Event(incident.ends, name, slot, (repaired,))
        elif incident.kind == "clock went back":
            yield Event(good.at, name, slot, (replace(good, at=good.at - _BACK),))
        elif incident.kind == "twice":
            yield Event(good.at, name, slot, (good,))
            yield Event(incident.ends, name, slot, (good, repaired))
        elif incident.kind == "twice, other bytes":
            again = Put(
                delivery_faults.rewritten(self._given(name, slot, good, b"")) or b"", incident.ends
            )
            yield Event(good.at, name, slot, (good,))
            yield Event(incident.ends, name, slot, (good, again) if keeps else (again,))
        else:
            self.faulty.add((name, slot))
            bad = Put(self._bad(incident, good), incident.begins)
            yield Event(incident.begins, name, slot, (bad,))
            visible = (bad, repaired) if incident.beside and keeps else (repaired,)
            yield Event(incident.ends, name, slot, visible)

    def _bad(self, incident: Incident, good: Put) -> bytes:
        name, slots = incident.table, list(self.slots[incident.table])
        at = slots.index(incident.slot)
        earlier = self.places[name].originals(slots[at - 3]) if at >= 3 else []
        before = earlier[-1].payload if earlier else b""
        made = FAULTY[incident.kind](self._given(name, incident.slot, good, before))
        return good.payload if made is None else made

    def advance(self, now: int) -> list[Event]:
        """Let everything happen that is due; what it was."""
        due = []
        while self._done < len(self.events) and self.events[self._done].at <= now:
            event = self.events[self._done]
            self._apply(event)
            due.append(event)
            self._done += 1
        return due

    def _apply(self, event: Event) -> None:
        place = self.places[event.table]
        if event.what == "close":
            place.close()
        elif event.what == "open":
            place.open()
        else:
            self.shown[event.table, event.slot] = event.puts
            place.show(event.slot, event.puts)

    @property
    def until(self) -> int:
        """When the last of it has happened."""
        return max((event.at for event in self.events), default=0)

    def truth(self, now: int) -> None:
        """Everything as the producers stand by it in the end, and nothing else."""
        for place in self.places.values():
            place.open()
        for (name, slot), puts in self.final.items():
            if not puts or puts[0].at <= now:
                self.places[name].show(slot, puts)

    def stands(self, table: str, slot: str, records: "Counter[str]") -> bool:
        """Whether the producer stands by a delivery that holds these records, in any order."""
        form = self.places[table].form
        return any(
            records_of(put.payload, form) == records for put in self.final.get((table, slot), ())
        )


def records_of(payload: bytes, form: str) -> "Counter[str]":
    """The records of a payload, however they are ordered and paged."""
    lines = payload.decode(errors="replace").splitlines()
    if form == "csv":
        return Counter(lines)
    return Counter(record for line in lines for record in _records(line))


def _records(line: str) -> Iterator[str]:
    try:
        found = json.loads(line)
    except ValueError:
        yield line
        return
    paged = isinstance(found, dict) and isinstance(found.get("records"), list)
    for record in found["records"] if paged else [found]:
        yield json.dumps(record, sort_keys=True)
