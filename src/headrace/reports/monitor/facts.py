"""What the ledgers, the models and the latest run say of a monitor: the facts of its report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.alerts.conditions import missing
from headrace.alerts.monitors import record_incidents
from headrace.core.clock import now_us, parse_iso
from headrace.core.home import Home
from headrace.lake.ledger.batch_listing import held_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.monitoring.decisions.alternative_policies import alternatives
from headrace.monitoring.decisions.decide import next_retraining, within_budget_period
from headrace.monitoring.decisions.history import (
    AttributedWindow,
    Record,
    ending_of,
    record_of,
    state_after,
)
from headrace.monitoring.decisions.incidents import Decided, Incident, incidents, settled
from headrace.monitoring.decisions.ledger import (
    Acceptance,
    Ack,
    DecisionLedger,
    Entry,
    Step,
    newest_entries,
)
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.replay import Replayed, cause_of, first_entries, replay, tally
from headrace.monitoring.evidence.acceptance import in_force
from headrace.monitoring.evidence.attribution import Attribution, attribute
from headrace.monitoring.run_details import RunDetails, read_details
from headrace.pipeline.definition import Pipeline
from headrace.reports.monitor.business_figures import figures
from headrace.reports.monitor.lead_times import lead_times
from headrace.reports.monitor.model import (
    Compared,
    Gap,
    MonitorReport,
    Reign,
    Retraining,
    WindowView,
)
from headrace.web.report_address import monitor_url


@dataclass(frozen=True)
class History:
    """The rows of the decision ledger about one monitor, read once."""

    entries: tuple[Entry, ...]
    steps: tuple[Step, ...]
    acks: tuple[Ack, ...]
    record: Record
    acceptances: tuple[Acceptance, ...] = ()

    @property
    def first(self) -> list[Entry]:
        return first_entries(self.entries)

    @property
    def incidents(self) -> list[Incident]:
        """Opened by what was decided first; over by what is known of the windows now."""
        found = incidents(_decided(self.first), (*self.acks, *self._known))
        return settled(
            found, {end: one.evidence for end, one in newest_entries(self.entries).items()}
        )

    @property
    def _known(self) -> list[Ack]:
        """Who accepts a window knows of it; that pages nobody until the monitor has run again."""
        return [
            Ack(fromkey.pipeline, end, fromkey.principal, fromkey.reason, fromkey.recorded_at)
            for end, accepted in in_force(self.acceptances).items()
            for fromkey in dict.fromkeys(accepted.values())
        ]


def history(pipeline: Pipeline, home: Home) -> History:
    """What is on record about the monitor of `pipeline`."""
    ledger, spec = DecisionLedger(home), pipeline.monitor
    entries, acks = ledger.entries(spec.name), ledger.acks(spec.name)
    steps = ledger.steps(spec.name)
    record = record_of(entries, spec.closes, steps, acks)
    said = ledger.acceptances(spec.name)
    return History(tuple(entries), tuple(steps), tuple(acks), record, tuple(said))


def monitor_report(pipeline: Pipeline, home: Home) -> MonitorReport:
    """All that is known of the monitor of `pipeline`. Reads ledgers and small files, no rows."""
    spec, policy = pipeline.monitor, pipeline.monitor.policy()
    known, seen = history(pipeline, home), read_details(home, spec.name)
    cut, newest = _cuts(pipeline, home)
    others = _others(pipeline, known, policy, cut)
    windows = _windows(pipeline, known, seen, others)
    state = state_after(
        spec.name,
        [AttributedWindow(one.window, one.evidence, cause_of(one)) for one in known.first],
        [one.decision for one in known.first],
        policy,
        closes=spec.closes,
        trained_at=newest,
        record=known.record,
    )
    found = known.incidents
    retrainings = _retrainings(known)
    return MonitorReport(
        monitor=spec.name,
        pipeline=pipeline.name,
        window_days=spec.window_days,
        policy=policy,
        policy_path=spec.policy_path,
        windows=windows,
        incidents=tuple(found),
        state=state,
        next_retraining=next_retraining(state, policy),
        budget_left=max(0, policy.budget - within_budget_period(state, policy)),
        reigns=tuple(_reigns(pipeline, home, known, cut)),
        trained_at=newest,
        retrainings=retrainings,
        recorded=tally(((e.window, e.evidence, e.decision) for e in known.first), known.acks),
        alternatives=tuple(others),
        figures=figures(windows, found, retrainings, list(lead_times(pipeline, home))),
        notes=seen.notes,
        rendered_at=now_us(),
        gaps=tuple(_gaps(pipeline, home)),
    )


def _gaps(pipeline: Pipeline, home: Home) -> Iterator[Gap]:
    """The tables of a pipeline of which a delivery is held back, or did not come."""
    with Ledger(home) as ledger:
        absent = {table.name: missing(ledger, table, now_us()) for table in pipeline.tables}
    for table in pipeline.tables:
        held = tuple(dict.fromkeys(row["slot"] for row in held_batches(home, table)))
        lacking = tuple(condition.slot for condition in absent[table.name])
        if held or lacking:
            yield Gap(table.name, held, lacking)


def replayed(
    pipeline: Pipeline, home: Home, policy: Policy
) -> tuple[list[Replayed], tuple[Ack, ...]]:
    """The history decided again by `policy`, and what was acknowledged of it."""
    known = history(pipeline, home)
    rows = replay(
        known.entries, policy,
        closes=pipeline.monitor.closes,
        trained_at=_cuts(pipeline, home)[0],
        record=known.record,
    )  # fmt: skip
    return rows, known.acks


def open_incidents(pipeline: Pipeline, home: Home) -> list[Incident]:
    """What goes on now, acknowledged or not."""
    return [incident for incident in history(pipeline, home).incidents if incident.is_open]


def _cuts(pipeline: Pipeline, home: Home) -> tuple[int, int]:
    """Up to when (us) the first champion was taught, and the one of now; as declared if unknown."""
    from headrace.models import load_record
    from headrace.models.registry import history as champions
    from headrace.pipeline.monitor_inputs import taught_until

    every = champions(home, pipeline.model.name)
    declared = pipeline.dataset.training_until
    known = [
        taught_until(home, load_record(home, one.name, one.bundle_id))
        for one in ([every[0], every[-1]] if every else [])
    ]
    first, newest = [declared if cut is None else cut for cut in known] or [declared, declared]
    return first, newest


@dataclass(frozen=True)
class Standing:
    """How a monitor stands: `state` is well, watch or open, `says` why; plain values to show."""

    state: str
    says: str
    metadata: Mapping[str, Any]


def monitor_standing(pipeline: Pipeline, home: Home) -> Standing:
    """For the orchestrator: whether somebody has to look, and a link to the report."""
    known, name = history(pipeline, home), pipeline.monitor.name
    going = [incident for incident in known.incidents if incident.is_open]
    unknown = [one for one in going if one.acknowledged is None]
    shown: dict[str, Any] = {"report": {"url": monitor_url(name)}, "open": len(going)}
    if not known.first:
        return Standing("well", "no window is over yet", shown)
    last = known.first[-1]
    why = " ".join(last.decision.reasons)
    shown |= {"window": last.window.text, "decision": last.decision.action, "why": why}
    says = f"{last.window.text}, {last.decision.action}: {why}"
    if unknown:
        return Standing("open", f"to be looked at since {unknown[0].first.text}: {why}", shown)
    watched = going or last.decision.action == "watch"
    return Standing("watch" if watched else "well", says, shown)


def tell_owner(pipeline: Pipeline, home: Home) -> None:
    """Open and close the alerts of the monitor's incidents; the next look at alerts sends them."""
    known = history(pipeline, home)
    owner = pipeline.tables[0].contract.owner if pipeline.tables else ""
    record_incidents(home, pipeline.monitor.name, owner, known.incidents)


def _decided(entries: Sequence[Entry]) -> list[Decided]:
    return [
        Decided(entry.window, entry.decision.action, entry.evidence, entry.decision.reasons)
        for entry in entries
    ]


def _others(pipeline: Pipeline, known: History, policy: Policy, cut: int) -> list[Compared]:
    """What each alternative policy makes of the evidence on record."""
    others = []
    for alternative in alternatives(policy):
        rows = replay(
            known.entries, alternative.policy,
            closes=pipeline.monitor.closes, trained_at=cut, record=known.record,
        )  # fmt: skip
        told = tally(((r.window, r.evidence, r.decision) for r in rows), known.acks)
        actions = {r.window.end: r.decision.action for r in rows}
        others.append(Compared(alternative.name, alternative.description, told, actions))
    return others


def _windows(
    pipeline: Pipeline, known: History, seen: RunDetails, others: Sequence[Compared]
) -> tuple[WindowView, ...]:
    looks = {window.window: window for window in seen.windows}
    return tuple(
        WindowView(
            entry=one,
            closes=pipeline.monitor.closes(one.window),
            attribution=attribution_of(one, pipeline.monitor.label_derived),
            seen=looks.get(one.window),
            later=tuple(e for e in known.entries if e.window == one.window and e is not one),
            acks=tuple(ack for ack in known.acks if ack.window_end == one.window.end),
            accepted=tuple(a for a in known.acceptances if a.window_end == one.window.end),
            others={other.name: other.actions[one.window.end] for other in others},
        )
        for one in known.first
    )


def attribution_of(entry: Entry, label_derived: tuple[str, ...] = ()) -> Attribution:
    """As recorded; derived anew where the record is older than attributions."""
    if entry.attribution is not None:
        return Attribution.from_json(entry.attribution)
    return attribute(entry.evidence, label_derived)


def _retrainings(known: History) -> tuple[Retraining, ...]:
    """By trigger, also those that nothing was done about yet, or that a person asked for."""
    steps: dict[str, list[Step]] = {}
    for step in known.steps:
        steps.setdefault(step.trigger_id, []).append(step)
    asked = {
        entry.decision.trigger_id: entry for entry in known.entries if entry.decision.trigger_id
    }
    retrainings = []
    for trigger in dict.fromkeys([*asked, *steps]):
        entry, done = asked.get(trigger), tuple(steps.get(trigger, ()))
        retrainings.append(
            Retraining(
                trigger,
                entry.recorded_at if entry else (done[0].recorded_at if done else None),
                entry.decision.reasons if entry else _by_hand(done),
                done,
                ending_of(step.step for step in done),
                entry.window.text if entry else "",
            )
        )
    return tuple(sorted(retrainings, key=lambda one: one.asked_at or 0))


def _by_hand(steps: Sequence[Step]) -> tuple[str, ...]:
    """Who asked for a retraining that no decision asked for, and why."""
    asked = next((step.detail for step in steps if step.step == "started"), {})
    why = "; ".join(map(str, asked.get("why", ()))) or "no reason is on record"
    return (f"{asked.get('by') or 'Somebody'} asked for it: {why}.",)


def _reigns(pipeline: Pipeline, home: Home, known: History, cut: int) -> Iterator[Reign]:
    """Every champion; one that a retraining brought begins with the window that triggered it."""
    from headrace.models.registry import history as champions

    closes = {
        entry.decision.trigger_id: pipeline.monitor.closes(entry.window)
        for entry in known.entries
        if entry.decision.trigger_id
    }
    promoted = [
        (step.recorded_at, closes[step.trigger_id])
        for step in known.steps
        if step.step == "promoted" and step.trigger_id in closes
    ]
    for at, one in enumerate(champions(home, pipeline.model.name)):
        since = parse_iso(one.since)
        # the step is recorded right after the swap; the first at or after it is its own
        own = next((began for done, began in promoted if done >= since), None) if at else None
        began = own if own is not None else (since if at else cut)
        yield Reign(f"{one.name}@{one.bundle_id[:12]}", since, one.reason, began)
