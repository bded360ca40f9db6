"""Run of a simulation, from its first day to the comparison with an undisturbed run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from headrace.alerts import AlertStore
from headrace.core.clock import DAY, HOUR, MINUTE, days, duration, iso, now_us, parse_iso
from headrace.core.home import Home
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.core.progress import report
from headrace.lake.ledger.ledger import Ledger
from headrace.monitoring import DecisionLedger
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import load_pipeline
from headrace.verification.simulation import proof
from headrace.verification.simulation.daily_work import build, take_in, try_build
from headrace.verification.simulation.engines import Engine, InProcess
from headrace.verification.simulation.home import SimulationSite
from headrace.verification.simulation.incidents import MACHINE, SimulatedIncident, plan
from headrace.verification.simulation.oncall import PRINCIPAL, OnCall
from headrace.verification.simulation.outcome import Page, SimulationOutcome, incident_of
from headrace.verification.simulation.pager import Pager
from headrace.verification.simulation.pipeline_override import places_of, simulated
from headrace.verification.simulation.producers import ProducerWorld

# Hours (UTC) of the daily time steps; there is also a time step after each event.
HOURS = (6, 18)
# The first days have no incidents, because the gate needs history to detect unusual data.
QUIET_DAYS = 28
_APART = 2 * HOUR  # minimum time between steps; of two closer steps only the later is simulated
_LONGEST = 12 * DAY  # maximum time from the last day to the end of the last incident


@dataclass(frozen=True)
class SimulationRequest:
    """Parameters of a simulation.

    Attributes:
        module: the pipeline's module.
        root: folder of the simulation's home.
        days: number of days to simulate, the pipeline's last ones; earlier deliveries are visible
            from the start.
        incidents: number of incidents.
        seed: seed of the incidents' kinds, tables and times.
        daemon: True to run in Dagster's daemon instead of this process.
        build_every: interval at which features, release, model and monitors are built.
    """

    module: str
    root: Path
    days: int
    incidents: int
    seed: int = 1
    daemon: bool = False
    build_every: str = "7d"


def simulate(ask: SimulationRequest) -> SimulationOutcome:
    """Simulate the days, and compare the final state with a run without incidents.

    Raises:
        StateError: the home is not empty, and does not hold a simulation.
        DeclarationError: the pipeline cannot be simulated.
    """
    settings = {"pipeline": ask.module, "days": ask.days, "seed": ask.seed}
    site = SimulationSite.begin(ask.root, settings)
    outcome = SimulationOutcome(ask.days, ask.daemon, ask.seed)
    site.set_clock(0)
    with Pager() as pager, site.entered(pager.url) as home:
        stage = _Stage.set(ask, site, home, outcome)
        stage.live(pager)
        stage.close(pager)
    return outcome


@contextmanager
def _timed(outcome: SimulationOutcome, part: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        passed = time.perf_counter() - start
        outcome.seconds[part] = outcome.seconds.get(part, 0.0) + passed


@dataclass
class _Stage:
    ask: SimulationRequest
    site: SimulationSite
    home: Home
    pipeline: Pipeline
    world: ProducerWorld
    oncall: OnCall
    outcome: SimulationOutcome
    first: int
    last: int
    now: int = 0

    @classmethod
    def set(
        cls, ask: SimulationRequest, site: SimulationSite, home: Home, outcome: SimulationOutcome
    ) -> "_Stage":
        declared = load_pipeline(ask.module)
        with _timed(outcome, "deliveries"):
            if declared.make_deliveries is not None:
                declared.make_deliveries(site.producers)
        pipeline = simulated(declared, home)
        places = places_of(declared, home, site.producers)
        slots = {table.name: pipeline.slots_of(table) for table in pipeline.tables}
        world = ProducerWorld({t.name: t for t in pipeline.tables}, places, slots, ask.seed)
        all_days = days(pipeline.first_slot, pipeline.last_slot)
        first, last = (
            parse_iso(all_days[-min(ask.days, len(all_days))]),
            parse_iso(all_days[-1]) + DAY,
        )
        quiet = max(first, parse_iso(all_days[0]) + QUIET_DAYS * DAY)
        with _timed(outcome, "plan"):
            outcome.incidents = plan(world.chances(), quiet, last - DAY, ask.incidents, ask.seed)
            world.prepare(outcome.incidents, first)
        policy = PermissionPolicy({PRINCIPAL: Grant(frozenset(ACTIONS))})
        oncall = OnCall(pipeline, home, world, policy)
        return cls(ask, site, home, pipeline, world, oncall, outcome, first, last)

    def live(self, pager: Pager) -> None:
        self._move(self.first)
        with _timed(self.outcome, "history"):
            if self.first > parse_iso(self.pipeline.first_slot):
                take_in(self.pipeline, self.home, full_scan=True)
                self.outcome.builds.append(try_build(self.pipeline, self.home))
        with _timed(self.outcome, "days"):
            self._days(self._engine(pager), self._moments())

    def _engine(self, pager: Pager) -> Engine:
        chance = Random(self.ask.seed)  # noqa: S311 - no secret
        if not self.ask.daemon:
            return InProcess(self.pipeline, self.home, self.ask.module, chance, self.outcome.builds)
        from headrace.verification.simulation.daemon import Daemon

        return Daemon.start(
            self.site, self.pipeline, self.ask.module, pager.url, chance, self.ask.build_every
        )

    def _days(self, engine: Engine, moments: Sequence[int]) -> None:
        interval, built = duration(self.ask.build_every), self.first
        try:
            for count, moment in enumerate(moments, 1):
                before = self.now
                self._move(moment)
                due = self.now >= built + interval
                built = self.now if due else built
                engine.step(self._machine(before, self.now), build=due)
                self._look_for_faults()
                self.oncall.work(self.now)
                self.oncall.take_back(self.now)
                report("simulate", count, len(moments), iso(self.now)[:13])
            self.outcome.runs = engine.runs()
        finally:
            engine.close()

    def _moments(self) -> list[int]:
        end = max(self.last, min(self.world.until, self.last + _LONGEST)) + DAY
        stops = {
            self.first + day * DAY + hour * HOUR
            for day in range((end - self.first) // DAY + 1)
            for hour in HOURS
        }
        special = {incident.begins for incident in self.outcome.incidents}
        special |= {incident.ends for incident in self.outcome.incidents}
        # Add a last time step after the end, at which one more build is due.
        over = end + duration(self.ask.build_every) + HOUR
        moments = sorted(stops | {at + MINUTE for at in special} | {over})
        return [
            moment
            for moment, later in zip(moments, [*moments[1:], None], strict=True)
            if later is None or later - moment >= _APART
        ]

    def _move(self, moment: int) -> None:
        """Set the clock to `moment`, unless it is already later, and apply due events.

        The clock runs during the work, so a long step can end after the time of the next step. An
        incident can be planned before the first day. A home refuses a clock that goes back.
        """
        self.now = max(moment, now_us())
        self.site.set_clock(self.now)
        self.world.advance(self.now)

    def _machine(self, after: int, until: int) -> list[SimulatedIncident]:
        incidents = [incident for incident in self.outcome.incidents if incident.kind in MACHINE]
        return [incident for incident in incidents if after < incident.begins <= until]

    def _look_for_faults(self) -> None:
        """Record the published rows of batches that their producer does not confirm."""
        for incident in self.outcome.incidents:
            key = (incident.table, incident.slot)
            if key not in self.world.faulty or incident.begins > self.now:
                continue
            with Ledger(self.home) as ledger:
                batches = ledger.batches(incident.table).values()
                published = [
                    b for b in batches if b.slot == incident.slot and b.state == "published"
                ]
            wrong = [b for b in published if not self.oncall.is_confirmed(b, incident.table)]
            if wrong and incident.name not in self.outcome.published_faults:
                rows = proof.rows_by_slot(self.pipeline, self.home).get(key, 0)
                self.outcome.published_faults[incident.name] = rows

    def close(self, pager: Pager) -> None:
        """Record the final state, and the final state of a run that reads only final deliveries."""
        outcome = self.outcome
        with _timed(outcome, "proof"):
            outcome.state = proof.state_of(self.pipeline, self.home)
            outcome.waiting = proof.waiting_batches(self.pipeline, self.home)
            outcome.unbalanced = proof.unbalanced(self.pipeline, self.home)
            self._count_retrainings()
            outcome.actions = self.oncall.actions
            self._tell_pages(pager)
        published = proof.rows_by_slot(self.pipeline, self.home)
        with _timed(outcome, "undisturbed"):
            expected = self._undisturbed()
        outcome.lost_deliveries = sorted(
            key for key, rows in expected.items() if published.get(key, 0) < rows
        )
        outcome.duplicate_deliveries = sorted(
            key for key, rows in published.items() if expected.get(key, 0) < rows
        )

    def _count_retrainings(self) -> None:
        ledger, names = DecisionLedger(self.home), [m.name for m in self.pipeline.monitors]
        triggers = [row.decision.trigger_id for name in names for row in ledger.entries(name)]
        self.outcome.triggers = len({trigger for trigger in triggers if trigger is not None})
        ends = {step.trigger_id: step.step for name in names for step in ledger.steps(name)}
        self.outcome.retrainings = dict(sorted(ends.items()))

    def _tell_pages(self, pager: Pager) -> None:
        with AlertStore(self.home) as store:
            alerts = {alert.alert_id: alert for alert in store.alerts()}
        for at, body in pager.pages:
            alert = alerts[str(body["alert"])]
            condition = alert.condition
            self.outcome.pages.append(
                Page(
                    at,
                    alert.alert_id,
                    str(body["title"]),
                    condition.table,
                    condition.slot,
                    condition.cause,
                    incident_of(alert, self.outcome.incidents),
                )
            )

    def _undisturbed(self) -> dict[tuple[str, str], int]:
        self.world.truth(self.now)
        site = SimulationSite.begin(self.site.root / "undisturbed", {"pipeline": self.ask.module})
        site.set_clock(self.now)
        with site.entered() as home:
            take_in(self.pipeline, home, full_scan=True)
            build(self.pipeline, home)
            self.outcome.undisturbed = proof.state_of(self.pipeline, home)
            return proof.rows_by_slot(self.pipeline, home)
