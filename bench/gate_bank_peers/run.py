"""Scores of the peers and verdicts of our gate on a table, in one pass over its days."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.gate_bank_peers.batches import EVENT_TIME, Batch, typed_batch
from bench.gate_bank_peers.export import Export
from bench.gate_bank_peers.figures import Layout, Measured, Window, measure
from bench.gate_bank_peers.scores import Peer
from headrace.contracts import Contract
from headrace.contracts.drift import Baseline
from headrace.contracts.drift.baseline import WINDOW
from headrace.gates.verdict import Judgement
from headrace.lake.ingest.validator import judge_day
from headrace.verification.fault_scores import outcome_of
from headrace.verification.gate_bank.faults import CleanDay, plantings
from headrace.verification.gate_bank.run import (
    WARM_UP,
    altered_columns,
    bare_suite,
    is_repaired,
    places_to_plant,
)
from headrace.verification.gate_bank.tables import BankTable, csv_bytes

Scores = dict[str, tuple[float, tuple[str, ...]]]  # greatest score by kind of check, with columns


@dataclass
class Delivery:
    """Clean day or altered delivery, as all sides judge it.

    Attributes:
        fault, scope: of an altered delivery; "" of a clean day.
        columns: altered columns; () if whole rows were altered.
        broken: columns that the load into a typed table names; None if the load succeeds.
        scores: by peer and kind of check, above 0 only.
        ours: stopped, warned or passed.
        ours_columns: columns of our headline.
        unit: number of the delivery in the table, warm-up included.
    """

    day: str
    fault: str = ""
    scope: str = ""
    columns: tuple[str, ...] = ()
    broken: tuple[str, ...] | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    ours: str = "passed"
    ours_columns: tuple[str, ...] = ()
    unit: int = -1

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Delivery":
        scores = {
            peer: {kind: (score, tuple(columns)) for kind, (score, columns) in kinds.items()}
            for peer, kinds in document["scores"].items()
        }
        broken = document["broken"]
        lists = {name: tuple(document[name]) for name in ("columns", "ours_columns")}
        broken = None if broken is None else tuple(broken)
        return cls(**{**document, **lists, "broken": broken, "scores": scores})


@dataclass
class TableRun:
    """Clean days after the warm-up and altered deliveries of a table."""

    table: str
    left_out: bool
    clean: list[Delivery] = field(default_factory=list)
    altered: list[Delivery] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "TableRun":
        clean, altered = ([Delivery.of(d) for d in document[part]] for part in ("clean", "altered"))
        return cls(document["table"], document["left_out"], clean, altered)


class PeerScorer:
    """Scores of all peers on the deliveries of a table, against a window of its clean days.

    With an `export`, the deliveries are also collected for peers in environments of their own.
    """

    def __init__(
        self, table: BankTable, contract: Contract, peers: Sequence[Peer], export: Export | None
    ) -> None:
        self.table, self.contract, self.peers = table, contract, peers
        self.export, self.units = export, 0
        self.first: list[Batch] = []
        self.window: Window | None = None

    def start_day(self) -> None:
        """Prepare the limits for the deliveries of a day."""
        if self.window is None and len(self.first) >= WARM_UP:
            layout = Layout.of(self.contract, self.first)
            self.window = Window(layout, WINDOW)
            for batch in self.first:
                self._add(batch)
        if self.window is not None:
            self.matrix, self.bins = self.window.matrix(), self.window.bins()

    def _add(self, batch: Batch) -> None:
        assert self.window is not None
        measured = measure(self.window.layout, batch)
        # The first batch has no window to be distant from.
        bins = self.window.bins() if self.window.batches else {}
        self.window.add(self.window.with_distances(measured, bins))

    def score(self, batch: Batch, delivery: Delivery) -> Measured | None:
        """Set what the peers make of a delivery; return its figures if it could be loaded."""
        delivery.unit, self.units = self.units, self.units + 1
        if batch.broken:
            delivery.broken = (*batch.refused, *batch.absent, *batch.undeclared)
            return None
        if self.export is not None:
            self.export.add(batch, delivery.unit, delivery.day, altered=bool(delivery.fault))
        if self.window is None:
            return None
        layout = self.window.layout
        measured = self.window.with_distances(measure(layout, batch), self.bins)
        if self.export is not None:
            self.export.note(delivery.unit, delivery.day, measured)
        for peer in self.peers:
            scores = peer.score(layout.figures, self.matrix, measured.figures)
            greatest: Scores = {}
            for at in np.flatnonzero(scores > 0):
                figure = layout.figures[at]
                if peer.uses(figure) and scores[at] > greatest.get(figure.kind, (0.0, ()))[0]:
                    greatest[figure.kind] = (float(f"{scores[at]:.6g}"), self._named(figure.column))
            delivery.scores[peer.name] = greatest
        return measured

    def _named(self, column: str) -> tuple[str, ...]:
        """Return the columns that a check names; the time of a row is that of its columns."""
        if column == EVENT_TIME:
            return clock_columns(self.table, self.contract)
        return tuple(column.split("+")) if column else ()

    def end_day(self, batch: Batch, measured: Measured | None) -> None:
        """Add a clean day to the window; a day that cannot be loaded does not join it."""
        if batch.broken:
            return
        if self.window is None:
            self.first.append(batch)
        elif measured is not None:
            self.window.add(measured)


def clock_columns(table: BankTable, contract: Contract) -> tuple[str, ...]:
    """Return the columns that hold the time of a row, by their names in the contract."""
    names = {alias: f.name for f in contract.delivered for alias in f.aliases}
    columns = table.clock[0].split(",") if table.clock else ()
    return tuple(names.get(name, name) for name in columns)


def evaluate(
    table: BankTable,
    peers: Sequence[Peer],
    planted: int,
    *,
    left_out: bool,
    export: Export | None = None,
) -> TableRun:
    """Judge the days of a table in order, and the faults planted in `planted` of them."""
    run = TableRun(table.name, left_out)
    contract = table.contract
    scorer = PeerScorer(table, contract, peers, export)
    gate, reference = bare_suite(contract), Baseline()
    days = table.rows_by_day()
    names = list(days)
    places = places_to_plant(len(names), planted)
    for number, name in enumerate(names):
        payload = csv_bytes(days[name])
        scorer.start_day()
        if number in places and export is not None and scorer.window is not None:
            export.start(name, scorer.window)
        batch, delivery = typed_batch(contract, name, payload), Delivery(name)
        measured = scorer.score(batch, delivery)
        judgement, profile = judge_day(gate, contract, reference, name, payload)
        _note_verdict(delivery, judgement, repaired=False)
        if number >= WARM_UP:
            run.clean.append(delivery)
        if number in places:
            day = CleanDay(table, name, days[name], days[names[number - 1]], number)
            for fault, change in plantings(day):
                columns = altered_columns(contract, change)
                altered = Delivery(name, fault.name, fault.scope, columns)
                scorer.score(typed_batch(contract, name, change.payload), altered)
                verdict, _ = judge_day(gate, contract, reference, name, change.payload)
                repaired = is_repaired(verdict, judgement, change)
                _note_verdict(altered, verdict, repaired=repaired)
                run.altered.append(altered)
        scorer.end_day(batch, measured)
        reference.add(profile)
    if export is not None and scorer.window is not None:
        export.write(scorer.window.layout, clock_columns(table, contract))
    return run


def _note_verdict(delivery: Delivery, judgement: Judgement, *, repaired: bool) -> None:
    first = next(iter(judgement.failed), None)
    delivery.ours = outcome_of(judgement, (), "", repaired=repaired).stop
    delivery.ours_columns = first.columns if first else ()


def renewed(run: TableRun, table: BankTable, peers: Sequence[Peer], planted: int) -> TableRun:
    """Return a run with verdicts of the present gate, and the units of the stored one.

    The units keep the answers of peers in environments of their own valid, which take hours.

    Raises:
        ValueError: the present deliveries are not those of the stored run.
    """
    present = evaluate(table, peers, planted, left_out=run.left_out)
    stored = {(d.day, d.fault): d for d in [*run.clean, *run.altered]}
    for delivery in [*present.clean, *present.altered]:
        same = stored.get((delivery.day, delivery.fault))
        if same is None or (same.broken, same.scores) != (delivery.broken, delivery.scores):
            raise ValueError(
                f"{table.name} {delivery.day} {delivery.fault or 'clean'}: the delivery is not the"
                " one in the stored scores; measure the table in an empty folder"
            )
        delivery.unit = same.unit
    return present


def deliveries(runs: Iterable[TableRun], part: str) -> list[Delivery]:
    """Return the clean or altered deliveries of several tables."""
    return [delivery for run in runs for delivery in getattr(run, part)]
