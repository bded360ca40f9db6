"""Facts of a monitor's report, from the ledgers, the models and the latest monitor run."""

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
from headrace.monitoring.decisions.retraining_decision import next_retraining, within_budget_period
from headrace.monitoring.evidence.acceptance import in_force
from headrace.monitoring.evidence.attribution import Attribution, attribute
from headrace.monitoring.run_details import RunDetails, read_details
from headrace.pipeline.definition import Pipeline
from headrace.reports.monitor.business_figures import figures
from headrace.reports.monitor.lead_times import lead_times
from headrace.reports.monitor.model import (
    Gap,
    MonitorReport,
    PolicyComparison,
    Reign,
    RetrainingReport,
    WindowView,
)
from headrace.web.report_address import monitor_url


@dataclass(frozen=True)
class MonitorHistory:
    """Rows of the decision ledger about one monitor."""

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
        """Incidents: the first decisions open them, the newest evidence closes them."""
        opened = incidents(_decided(self.first), (*self.acks, *self._acceptance_acks))
        return settled(
            opened, {end: entry.evidence for end, entry in newest_entries(self.entries).items()}
        )

    @property
    def _acceptance_acks(self) -> list[Ack]:
        """Effective acceptances as acknowledgements, so that an accepted window pages nobody."""
        return [
            Ack(fromkey.pipeline, end, fromkey.principal, fromkey.reason, fromkey.recorded_at)
            for end, accepted in in_force(self.acceptances).items()
            for fromkey in dict.fromkeys(accepted.values())
        ]


def history(pipeline: Pipeline, home: Home) -> MonitorHistory:
    """Read the ledger's rows about the monitor of `pipeline`."""
    ledger, spec = DecisionLedger(home), pipeline.monitor
    entries, acks = ledger.entries(spec.name), ledger.acks(spec.name)
    steps = ledger.steps(spec.name)
    record = record_of(entries, spec.closes, steps, acks)
    acceptances = ledger.acceptances(spec.name)
    return MonitorHistory(tuple(entries), tuple(steps), tuple(acks), record, tuple(acceptances))


def monitor_report(pipeline: Pipeline, home: Home) -> MonitorReport:
    """Return the report of the pipeline's monitor; reads ledgers and small files, no tables."""
    spec, policy = pipeline.monitor, pipeline.monitor.policy()
    past, details = history(pipeline, home), read_details(home, spec.name)
    cut, newest = _cuts(pipeline, home)
    compared = _compared_alternatives(pipeline, past, policy, cut)
    windows = _windows(pipeline, past, details, compared)
    state = state_after(
        spec.name,
        [AttributedWindow(entry.window, entry.evidence, cause_of(entry)) for entry in past.first],
        [entry.decision for entry in past.first],
        policy,
        closes=spec.closes,
        trained_at=newest,
        record=past.record,
    )
    all_incidents = past.incidents
    retrainings = _retrainings(past)
    return MonitorReport(
        monitor=spec.name,
        pipeline=pipeline.name,
        window_days=spec.window_days,
        policy=policy,
        policy_path=spec.policy_path,
        windows=windows,
        incidents=tuple(all_incidents),
        state=state,
        next_retraining=next_retraining(state, policy),
        budget_left=max(0, policy.budget - within_budget_period(state, policy)),
        reigns=tuple(_reigns(pipeline, home, past, cut)),
        trained_at=newest,
        retrainings=retrainings,
        recorded=tally(((e.window, e.evidence, e.decision) for e in past.first), past.acks),
        alternatives=tuple(compared),
        figures=figures(windows, all_incidents, retrainings, list(lead_times(pipeline, home))),
        notes=details.notes,
        rendered_at=now_us(),
        gaps=tuple(_gaps(pipeline, home)),
        options=_options(pipeline),
    )


def _options(pipeline: Pipeline) -> str:
    """Return the options by which a command finds the monitor of a pipeline."""
    options = f"--pipeline {pipeline.name}"
    has_others = len(pipeline.full_pipeline.monitors) > 1
    return f"{options} --monitor {pipeline.monitor.name}" if has_others else options


def _gaps(pipeline: Pipeline, home: Home) -> Iterator[Gap]:
    """Yield the tables of a pipeline with a blocked or missing delivery."""
    with Ledger(home) as ledger:
        absent = {table.name: missing(ledger, table, now_us()) for table in pipeline.tables}
    for table in pipeline.tables:
        blocked = tuple(dict.fromkeys(row["slot"] for row in held_batches(home, table)))
        lacking = tuple(condition.slot for condition in absent[table.name])
        if blocked or lacking:
            yield Gap(table.name, blocked, lacking)


def replayed(
    pipeline: Pipeline, home: Home, policy: Policy
) -> tuple[list[Replayed], tuple[Ack, ...]]:
    """Replay the recorded history under `policy`; return its decisions and acknowledgements."""
    past = history(pipeline, home)
    rows = replay(
        past.entries, policy,
        closes=pipeline.monitor.closes,
        trained_at=_cuts(pipeline, home)[0],
        record=past.record,
    )  # fmt: skip
    return rows, past.acks


def open_incidents(pipeline: Pipeline, home: Home) -> list[Incident]:
    """Return the open incidents, acknowledged or not."""
    return [incident for incident in history(pipeline, home).incidents if incident.is_open]


def _cuts(pipeline: Pipeline, home: Home) -> tuple[int, int]:
    """Return the training cutoffs (microseconds UTC) of the first and the current champion.

    An unknown cutoff is replaced by the declared one.
    """
    from headrace.models import load_record
    from headrace.models.registry import history as champions
    from headrace.pipeline.monitor_inputs import taught_until

    champion_history = champions(home, pipeline.model.name)
    declared = pipeline.dataset.training_until
    cuts = [
        taught_until(home, load_record(home, champion.name, champion.bundle_id))
        for champion in ([champion_history[0], champion_history[-1]] if champion_history else [])
    ]
    first, newest = [declared if cut is None else cut for cut in cuts] or [declared, declared]
    return first, newest


@dataclass(frozen=True)
class MonitorStatus:
    """State of a monitor ("well", "watch" or "open"), the reason, and metadata to show."""

    state: str
    sentence: str
    metadata: Mapping[str, Any]


def monitor_standing(pipeline: Pipeline, home: Home) -> MonitorStatus:
    """Return the state of a monitor for the orchestrator, with a link to the report."""
    past, name = history(pipeline, home), pipeline.monitor.name
    going = [incident for incident in past.incidents if incident.is_open]
    unknown = [incident for incident in going if incident.acknowledged is None]
    metadata: dict[str, Any] = {"report": {"url": monitor_url(name)}, "open": len(going)}
    if not past.first:
        return MonitorStatus("well", "no window is complete yet", metadata)
    last = past.first[-1]
    why = " ".join(last.decision.reasons)
    metadata |= {"window": last.window.text, "decision": last.decision.action, "why": why}
    sentence = f"{last.window.text}, {last.decision.action}: {why}"
    if unknown:
        return MonitorStatus(
            "open", f"not acknowledged since {unknown[0].first.text}: {why}", metadata
        )
    watched = going or last.decision.action == "watch"
    return MonitorStatus("watch" if watched else "well", sentence, metadata)


def tell_owner(pipeline: Pipeline, home: Home) -> None:
    """Open and close the alerts of the monitor's incidents; the alert sensor sends them later."""
    past = history(pipeline, home)
    owner = pipeline.tables[0].contract.owner if pipeline.tables else ""
    record_incidents(home, pipeline.monitor.name, owner, past.incidents)


def _decided(entries: Sequence[Entry]) -> list[Decided]:
    return [
        Decided(entry.window, entry.decision.action, entry.evidence, entry.decision.reasons)
        for entry in entries
    ]


def _compared_alternatives(
    pipeline: Pipeline, past: MonitorHistory, policy: Policy, cut: int
) -> list[PolicyComparison]:
    """Replay the recorded evidence under each alternative policy."""
    compared = []
    for alternative in alternatives(policy):
        rows = replay(
            past.entries, alternative.policy,
            closes=pipeline.monitor.closes, trained_at=cut, record=past.record,
        )  # fmt: skip
        counts = tally(((r.window, r.evidence, r.decision) for r in rows), past.acks)
        actions = {r.window.end: r.decision.action for r in rows}
        compared.append(
            PolicyComparison(alternative.name, alternative.description, counts, actions)
        )
    return compared


def _windows(
    pipeline: Pipeline,
    past: MonitorHistory,
    details: RunDetails,
    compared: Sequence[PolicyComparison],
) -> tuple[WindowView, ...]:
    details_by_window = {window.window: window for window in details.windows}
    return tuple(
        WindowView(
            entry=entry,
            closes=pipeline.monitor.closes(entry.window),
            attribution=attribution_of(entry, pipeline.monitor.label_derived),
            details=details_by_window.get(entry.window),
            later=tuple(e for e in past.entries if e.window == entry.window and e is not entry),
            acks=tuple(ack for ack in past.acks if ack.window_end == entry.window.end),
            accepted=tuple(a for a in past.acceptances if a.window_end == entry.window.end),
            alternatives={other.name: other.actions[entry.window.end] for other in compared},
        )
        for entry in past.first
    )


def attribution_of(entry: Entry, label_derived: tuple[str, ...] = ()) -> Attribution:
    """Return the recorded attribution; for records without one derive it from the evidence."""
    if entry.attribution is not None:
        return Attribution.from_json(entry.attribution)
    return attribute(entry.evidence, label_derived)


def _retrainings(past: MonitorHistory) -> tuple[RetrainingReport, ...]:
    """Return one retraining per trigger, including those without steps or started by a person."""
    steps: dict[str, list[Step]] = {}
    for step in past.steps:
        steps.setdefault(step.trigger_id, []).append(step)
    decided = {
        entry.decision.trigger_id: entry for entry in past.entries if entry.decision.trigger_id
    }
    retrainings = []
    for trigger in dict.fromkeys([*decided, *steps]):
        entry, trigger_steps = decided.get(trigger), tuple(steps.get(trigger, ()))
        retrainings.append(
            RetrainingReport(
                trigger,
                entry.recorded_at
                if entry
                else (trigger_steps[0].recorded_at if trigger_steps else None),
                entry.decision.reasons if entry else _by_hand(trigger_steps),
                trigger_steps,
                ending_of(step.step for step in trigger_steps),
                entry.window.text if entry else "",
            )
        )
    return tuple(sorted(retrainings, key=lambda retraining: retraining.asked_at or 0))


def _by_hand(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return a sentence on the person who started a retraining without a decision, and why."""
    detail = next((step.detail for step in steps if step.step == "started"), {})
    why = "; ".join(map(str, detail.get("why", ()))) or "no reason is recorded"
    return (f"{detail.get('by') or 'A person'} requested it: {why}.",)


def _reigns(pipeline: Pipeline, home: Home, past: MonitorHistory, cut: int) -> Iterator[Reign]:
    """Yield every champion; a retrained one begins at the close of the window that triggered it."""
    from headrace.models.registry import history as champions

    closes = {
        entry.decision.trigger_id: pipeline.monitor.closes(entry.window)
        for entry in past.entries
        if entry.decision.trigger_id
    }
    promoted = [
        (step.recorded_at, closes[step.trigger_id])
        for step in past.steps
        if step.step == "promoted" and step.trigger_id in closes
    ]
    for at, champion in enumerate(champions(home, pipeline.model.name)):
        since = parse_iso(champion.since)
        # The step is recorded right after the promotion, so it is the first one from `since` on.
        window_end = (
            next((began for recorded, began in promoted if recorded >= since), None) if at else None
        )
        began = window_end if window_end is not None else (since if at else cut)
        yield Reign(f"{champion.name}@{champion.bundle_id[:12]}", since, champion.reason, began)
