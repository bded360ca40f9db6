"""Simulated producers, whose deliveries arrive over time and are changed by incidents."""

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
    SimulatedIncident,
    kinds_for,
)

_BACK = 30 * DAY  # time by which a producer's clock goes back


@dataclass(frozen=True)
class ProducerEvent:
    """Event at a delivery place: the place shows `deliveries`, goes down or comes back."""

    at: int
    table: str
    slot: str = ""
    deliveries: tuple[Put, ...] = ()
    what: str = "show"  # show, close, open


@dataclass
class ProducerWorld:
    """Producers of a pipeline's tables.

    Attributes:
        tables: the simulated tables by name.
        places: the delivery place of each table.
        slots: the partitions of each table, in order.
        seed: seed of the random choices of faults.
        final: (table, slot) -> the deliveries that the producer finally confirms.
        visible: (table, slot) -> the currently visible deliveries.
        faulty: (table, slot) with a planned faulty delivery.
        events: all events, in order.
    """

    tables: Mapping[str, Table]
    places: Mapping[str, Place]
    slots: Mapping[str, Sequence[str]]
    seed: int
    final: dict[tuple[str, str], tuple[Put, ...]] = field(default_factory=dict)
    visible: dict[tuple[str, str], tuple[Put, ...]] = field(default_factory=dict)
    faulty: set[tuple[str, str]] = field(default_factory=set)
    events: list[ProducerEvent] = field(default_factory=list)
    _applied: int = 0

    def chances(self) -> list[Chance]:
        """Return the possible incidents of each table; faults need partitions with one delivery."""
        return [self._chance(name) for name in self.tables]

    def _chance(self, name: str) -> Chance:
        place, single = self.places[name], {}
        sample: tuple[str, Put] | None = None
        for slot in self.slots[name]:
            deliveries = place.originals(slot)
            if len(deliveries) == 1:
                single[slot] = deliveries[0].at
                sample = sample or (slot, deliveries[0])
        snapshot = list(self.slots[name]) == [SNAPSHOT_SLOT]
        able = frozenset(kind for kind in FAULTY if sample and self._alters(name, kind, sample))
        if (
            sample
            and delivery_faults.drifted(self._original(name, *sample, b"")) is not None
            and not snapshot
        ):
            able |= frozenset(DRIFT)
        return Chance(
            name,
            single,
            place.keeps,
            kinds_for(side_by_side=place.keeps, snapshot=snapshot, able=able),
        )

    def _alters(self, name: str, kind: str, sample: tuple[str, Put]) -> bool:
        slot, delivery = sample
        original = self._original(name, slot, delivery, b"x")
        return FAULTY[kind](original) not in {None, delivery.payload}

    def _original(
        self, name: str, slot: str, delivery: Put, before: bytes
    ) -> delivery_faults.OriginalDelivery:
        chance = Random(f"{self.seed} {name} {slot}")  # noqa: S311 - no secret
        contract = self.tables[name].contract
        return delivery_faults.OriginalDelivery(
            delivery.payload, self.places[name].form, contract, chance, before
        )

    def prepare(self, incidents: Sequence[SimulatedIncident], first: int) -> None:
        """Plan all events; deliveries before `first` are visible from the start."""
        lasting = (*MACHINE, *DOWN, *DRIFT)
        by_slot: dict[tuple[str, str], list[SimulatedIncident]] = {}
        for incident in incidents:
            if incident.kind not in lasting:
                by_slot.setdefault((incident.table, incident.slot), []).append(incident)
        drifts = [i for i in incidents if i.kind in DRIFT]
        events: list[ProducerEvent] = []
        for name in self.tables:
            for slot in self.slots[name]:
                deliveries = self._drifted(name, slot, drifts)
                self.final[name, slot] = deliveries
                disturbing = by_slot.get((name, slot), [])
                # A snapshot table always gets its ordinary deliveries, even with incidents.
                if not disturbing or slot == SNAPSHOT_SLOT:
                    events += self._ordinary(name, slot, deliveries)
                for incident in disturbing:
                    events += self._disturbed(incident, deliveries)
        for incident in incidents:
            if incident.kind in DOWN:
                events.append(ProducerEvent(incident.begins, incident.table, what="close"))
                events.append(ProducerEvent(incident.ends, incident.table, what="open"))
        order = {"open": 0, "show": 1, "close": 2}
        self.events = sorted(events, key=lambda e: (max(e.at, first), order[e.what], e.slot))

    def _drifted(
        self, name: str, slot: str, drifts: Sequence[SimulatedIncident]
    ) -> tuple[Put, ...]:
        """Return the deliveries of a partition, changed by population drift if one is planned."""
        deliveries = tuple(self.places[name].originals(slot))
        for drift in drifts:
            if (
                drift.table == name
                and len(deliveries) == 1
                and drift.begins <= deliveries[0].at <= drift.ends
            ):
                changed = delivery_faults.drifted(self._original(name, slot, deliveries[0], b""))
                return deliveries if changed is None else (replace(deliveries[0], payload=changed),)
        return deliveries

    def _ordinary(self, name: str, slot: str, deliveries: Sequence[Put]) -> Iterator[ProducerEvent]:
        for count, delivery in enumerate(deliveries, 1):
            yield ProducerEvent(delivery.at, name, slot, tuple(deliveries[:count]))

    def _disturbed(
        self, incident: SimulatedIncident, deliveries: Sequence[Put]
    ) -> Iterator[ProducerEvent]:
        name, slot = incident.table, incident.slot
        good, side_by_side = deliveries[-1], self.places[name].keeps
        repaired = replace(good, at=incident.ends)
        if incident.kind in LATE:
            yield ProducerEvent(incident.ends, name, slot, (repaired,))
        elif incident.kind == "clock went back":
            yield ProducerEvent(good.at, name, slot, (replace(good, at=good.at - _BACK),))
        elif incident.kind == "twice":
            yield ProducerEvent(good.at, name, slot, (good,))
            yield ProducerEvent(incident.ends, name, slot, (good, repaired))
        elif incident.kind == "twice, other bytes":
            rewritten = Put(
                delivery_faults.rewritten(self._original(name, slot, good, b"")) or b"",
                incident.ends,
            )
            yield ProducerEvent(good.at, name, slot, (good,))
            yield ProducerEvent(
                incident.ends, name, slot, (good, rewritten) if side_by_side else (rewritten,)
            )
        else:
            self.faulty.add((name, slot))
            bad = Put(self._bad(incident, good), incident.begins)
            yield ProducerEvent(incident.begins, name, slot, (bad,))
            visible = (bad, repaired) if incident.beside and side_by_side else (repaired,)
            yield ProducerEvent(incident.ends, name, slot, visible)

    def _bad(self, incident: SimulatedIncident, good: Put) -> bytes:
        name, slots = incident.table, list(self.slots[incident.table])
        at = slots.index(incident.slot)
        earlier = self.places[name].originals(slots[at - 3]) if at >= 3 else []
        before = earlier[-1].payload if earlier else b""
        faulty = FAULTY[incident.kind](self._original(name, incident.slot, good, before))
        return good.payload if faulty is None else faulty

    def advance(self, now: int) -> list[ProducerEvent]:
        """Apply and return all events that are due."""
        due = []
        while self._applied < len(self.events) and self.events[self._applied].at <= now:
            event = self.events[self._applied]
            self._apply(event)
            due.append(event)
            self._applied += 1
        return due

    def _apply(self, event: ProducerEvent) -> None:
        place = self.places[event.table]
        if event.what == "close":
            place.close()
        elif event.what == "open":
            place.open()
        else:
            self.visible[event.table, event.slot] = event.deliveries
            place.show(event.slot, event.deliveries)

    @property
    def until(self) -> int:
        """Time of the last event."""
        return max((event.at for event in self.events), default=0)

    def truth(self, now: int) -> None:
        """Make exactly those final deliveries visible that are due by `now`, at all places."""
        for place in self.places.values():
            place.open()
        for (name, slot), deliveries in self.final.items():
            if not deliveries or deliveries[0].at <= now:
                self.places[name].show(slot, deliveries)

    def confirms(self, table: str, slot: str, records: "Counter[str]") -> bool:
        """Return True if a final delivery of the partition has these records, in any order."""
        form = self.places[table].form
        return any(
            records_of(delivery.payload, form) == records
            for delivery in self.final.get((table, slot), ())
        )


def records_of(payload: bytes, form: str) -> "Counter[str]":
    """Count the records of a payload; their order and their division into pages do not matter."""
    lines = payload.decode(errors="replace").splitlines()
    if form == "csv":
        return Counter(lines)
    return Counter(record for line in lines for record in _records(line))


def _records(line: str) -> Iterator[str]:
    try:
        document = json.loads(line)
    except ValueError:
        yield line
        return
    paged = isinstance(document, dict) and isinstance(document.get("records"), list)
    for record in document["records"] if paged else [document]:
        yield json.dumps(record, sort_keys=True)
