"""A simulation from its first day to its proof."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from headrace.alerts import AlertStore
from headrace.core.clock import DAY, HOUR, MINUTE, days, duration, iso, now_us, parse_iso
from headrace.core.home import Home
from headrace.core.permissions import ACTIONS, Grant, Policy
from headrace.core.progress import report
from headrace.lake.ledger.ledger import Ledger
from headrace.monitoring import DecisionLedger
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import load_pipeline
from headrace.verification.simulation import proof
from headrace.verification.simulation.daily_work import build, take_in, try_build
from headrace.verification.simulation.engines import Engine, InProcess
from headrace.verification.simulation.home import Site
from headrace.verification.simulation.incidents import MACHINE, Incident, plan
from headrace.verification.simulation.oncall import WHO, OnCall
from headrace.verification.simulation.outcome import Outcome, Page, incident_of
from headrace.verification.simulation.pager import Pager
from headrace.verification.simulation.pipeline_override import places_of, simulated
from headrace.verification.simulation.producers import World

# The clock stops twice a day (UTC), for what waits for a time, and after everything that happens.
HOURS = (6, 18)
# A gate that has no past cannot tell what is odd: nothing goes wrong in the first days of all.
QUIET_DAYS = 28
_APART = 2 * HOUR  # of two moments that are nearer to each other, the later one counts
_LONGEST = 12 * DAY  # after the last day, until the last incident is over


@dataclass(frozen=True)
class Ask:
    """What is to be simulated.

    Attributes:
        module: the pipeline's module.
        root: the simulation's home.
        days: the last so many of the pipeline's days; what came before is there from the start.
        incidents: how many.
        seed: decides which, where and when.
        daemon: through Dagster's daemon, instead of in this process.
        build_every: how often features, release, model and monitors are built: a duration.
    """

    module: str
    root: Path
    days: int
    incidents: int
    seed: int = 1
    daemon: bool = False
    build_every: str = "7d"


def simulate(ask: Ask) -> Outcome:
    """Live through the days; what happened, and whether all is as if nothing had.

    Raises:
        StateError: the home is not empty, and no simulation.
        DeclarationError: the pipeline cannot be simulated.
    """
    about = {"pipeline": ask.module, "days": ask.days, "seed": ask.seed}
    site = Site.begin(ask.root, about)
    outcome = Outcome(ask.days, ask.daemon, ask.seed)
    site.set_clock(0)
    with Pager() as pager, site.entered(pager.url) as home:
        stage = _Stage.set(ask, site, home, outcome)
        stage.live(pager)
        stage.close(pager)
    return outcome


@contextmanager
def _timed(outcome: Outcome, part: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        passed = time.perf_counter() - start
        outcome.seconds[part] = outcome.seconds.get(part, 0.0) + passed


@dataclass
class _Stage:
    ask: Ask
    site: Site
    home: Home
    pipeline: Pipeline
    world: World
    oncall: OnCall
    outcome: Outcome
    first: int
    last: int
    now: int = 0

    @classmethod
    def set(cls, ask: Ask, site: Site, home: Home, outcome: Outcome) -> "_Stage":
        declared = load_pipeline(ask.module)
        with _timed(outcome, "deliveries"):
            if declared.make_deliveries is not None:
                declared.make_deliveries(site.held)
        pipeline = simulated(declared, home)
        places = places_of(declared, home, site.held)
        slots = {table.name: pipeline.slots_of(table) for table in pipeline.tables}
        world = World({t.name: t for t in pipeline.tables}, places, slots, ask.seed)
        every = days(pipeline.first_slot, pipeline.last_slot)
        first, last = parse_iso(every[-min(ask.days, len(every))]), parse_iso(every[-1]) + DAY
        quiet = max(first, parse_iso(every[0]) + QUIET_DAYS * DAY)
        with _timed(outcome, "plan"):
            outcome.incidents = plan(world.chances(), quiet, last - DAY, ask.incidents, ask.seed)
            world.prepare(outcome.incidents, first)
        policy = Policy({WHO: Grant(frozenset(ACTIONS))})
        oncall = OnCall(pipeline, home, world, policy)
        return cls(ask, site, home, pipeline, world, oncall, outcome, first, last)

    def live(self, pager: Pager) -> None:
        self._move(self.first)
        with _timed(self.outcome, "history"):
            if self.first > parse_iso(self.pipeline.first_slot):
                take_in(self.pipeline, self.home, whole=True)
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
        every, built = duration(self.ask.build_every), self.first
        try:
            for count, moment in enumerate(moments, 1):
                before = self.now
                self._move(moment)
                due = self.now >= built + every
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
        found = {
            self.first + day * DAY + hour * HOUR
            for day in range((end - self.first) // DAY + 1)
            for hour in HOURS
        }
        special = {incident.begins for incident in self.outcome.incidents}
        special |= {incident.ends for incident in self.outcome.incidents}
        # Long enough after the end for one more build.
        over = end + duration(self.ask.build_every) + HOUR
        wanted = sorted(found | {at + MINUTE for at in special} | {over})
        return [
            moment
            for moment, later in zip(wanted, [*wanted[1:], None], strict=True)
            if later is None or later - moment >= _APART
        ]

    def _move(self, moment: int) -> None:
        """Set the clock to `moment`, or leave it at what it shows if that is later.

        The clock runs on while work is done, so a long step can pass the next moment; and an
        incident can be planned before the first day. A home refuses a clock that goes back.
        """
        self.now = max(moment, now_us())
        self.site.set_clock(self.now)
        self.world.advance(self.now)

    def _machine(self, after: int, until: int) -> list[Incident]:
        found = [incident for incident in self.outcome.incidents if incident.kind in MACHINE]
        return [one for one in found if after < one.begins <= until]

    def _look_for_faults(self) -> None:
        """Rows that are published, and by which no producer stands."""
        for incident in self.outcome.incidents:
            key = (incident.table, incident.slot)
            if key not in self.world.faulty or incident.begins > self.now:
                continue
            with Ledger(self.home) as ledger:
                batches = ledger.batches(incident.table).values()
                published = [
                    b for b in batches if b.slot == incident.slot and b.state == "published"
                ]
            wrong = [b for b in published if not self.oncall.stands(b, incident.table)]
            if wrong and incident.name not in self.outcome.published_faults:
                rows = proof.rows_by_slot(self.pipeline, self.home).get(key, 0)
                self.outcome.published_faults[incident.name] = rows

    def close(self, pager: Pager) -> None:
        """The last look at everything, and a run on what the producers stand by alone."""
        outcome = self.outcome
        with _timed(outcome, "proof"):
            outcome.state = proof.state_of(self.pipeline, self.home)
            outcome.waiting = proof.held_back(self.pipeline, self.home)
            outcome.unbalanced = proof.unbalanced(self.pipeline, self.home)
            self._count_retrainings()
            outcome.actions = self.oncall.done
            self._tell_pages(pager)
        here = proof.rows_by_slot(self.pipeline, self.home)
        with _timed(outcome, "undisturbed"):
            there = self._undisturbed()
        outcome.lost = sorted(key for key, rows in there.items() if here.get(key, 0) < rows)
        outcome.doubled = sorted(key for key, rows in here.items() if there.get(key, 0) < rows)

    def _count_retrainings(self) -> None:
        ledger, name = DecisionLedger(self.home), self.pipeline.monitor.name
        asked = [row.decision.trigger_id for row in ledger.entries(name)]
        self.outcome.triggers = len({one for one in asked if one is not None})
        ends = {step.trigger_id: step.step for step in ledger.steps(name)}
        self.outcome.retrainings = dict(sorted(ends.items()))

    def _tell_pages(self, pager: Pager) -> None:
        with AlertStore(self.home) as store:
            known = {alert.alert_id: alert for alert in store.alerts()}
        for at, body in pager.pages:
            alert = known[str(body["alert"])]
            given = alert.condition
            self.outcome.pages.append(
                Page(at, alert.alert_id, str(body["title"]), given.table, given.slot, given.cause,
                     incident_of(alert, self.outcome.incidents))
            )  # fmt: skip

    def _undisturbed(self) -> dict[tuple[str, str], int]:
        self.world.truth(self.now)
        site = Site.begin(self.site.root / "undisturbed", {"pipeline": self.ask.module})
        site.set_clock(self.now)
        with site.entered() as home:
            take_in(self.pipeline, home, whole=True)
            build(self.pipeline, home)
            self.outcome.undisturbed = proof.state_of(self.pipeline, home)
            return proof.rows_by_slot(self.pipeline, home)
