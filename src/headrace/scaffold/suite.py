"""Draft of a suite from a file: the observed limits plus a margin."""

import math
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import yaml

from headrace.contracts.authoring.yaml_values import flow
from headrace.gates.drafting import (
    CheckDraft,
    DraftOptions,
    Measure,
    Statistics,
    check_text,
    draft_checks,
)
from headrace.gates.suite_reader import parse_suite
from headrace.scaffold.deliveries import deliveries
from headrace.scaffold.gate_rehearsal import Trial, rehearse
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.domains import domain_of
from headrace.scaffold.inspection.facts import Facts, iso_day
from headrace.scaffold.templates import fill

# Margins are wide, because a first file shows little of the range of future data.
_LEAST_MARGIN, _SNAPSHOT_MARGIN = 0.5, 2.0


def draft_suite(facts: Facts, pipeline: str) -> str:
    """Return the suite's YAML. Nearly every day of the file passes it; see `WARNED_SHARE`."""
    drafts = draft_checks(_statistics(facts), _draft_request(facts)).accepted
    text = _text(facts, pipeline, drafts, Trial())
    if facts.look.ask.snapshot or facts.look.ask.partial:
        return text
    days = {name.rpartition("_")[2].removesuffix(".csv"): data for name, data in _days(facts)}
    suite = parse_suite(yaml.safe_load(text)).stored(facts.contract)
    trial = rehearse(suite, facts.contract, days)
    passing = [draft for draft in drafts if draft.meta["id"] not in trial.checks]
    return _text(facts, pipeline, passing, trial)


def _days(facts: Facts) -> list[tuple[str, bytes]]:
    prefix = f"{facts.look.ask.table_name}_"
    return [(name, data) for name, data in deliveries(facts).items() if name.startswith(prefix)]


def _text(facts: Facts, pipeline: str, drafts: Sequence[CheckDraft], trial: Trial) -> str:
    actions = trial.actions()
    meta: dict[str, object] = {
        "table": facts.look.ask.table_name,
        "version": 1,
        "max_quarantined_share": _share(facts),
        "units": "contract",
    }
    if actions:
        meta["semantic"] = actions
    return fill(
        "suite.yaml",
        pipeline=pipeline,
        table=facts.look.ask.table_name,
        rows=f"{facts.table.num_rows:,}",
        seen=_passing_words(facts, trial.warned(actions)),
        trial="".join(f"# {line}\n" for line in _rehearsal_comments(trial, actions)),
        meta=flow(meta),
        checks="\n".join(check_text(draft) for draft in drafts),
    )


def _rehearsal_comments(trial: Trial, actions: Mapping[str, str]) -> Iterator[str]:
    """Yield comment lines that summarise the rehearsal for the reader of the draft."""
    if actions:
        yield "`semantic`: detectors that reported days of the file, which is presumed correct:"
        for key in actions:
            yield f"  {key}: {_few_days(trial.changes[key])}"
    if rare := sorted(trial.changes.keys() - actions.keys()):
        yield "Detectors that stay on, although they warn on these days of the file:"
        for key in rare:
            yield f"  {key}: {_few_days(trial.changes[key])}"
    if trial.checks:
        yield "Checks that are not drafted, because they failed on days of the file:"
        for name, days in sorted(trial.checks.items()):
            yield f"  {name}: {_few_days(days)}"
    for finding, days in trial.other.items():
        yield f"The contract: {finding} ({_few_days(days)})"


def _few_days(days: Sequence[str]) -> str:
    rest = f" and {len(days) - 3} more" if len(days) > 3 else ""
    return f"{', '.join(days[:3])}{rest}"


def _statistics(facts: Facts) -> Statistics:
    names = [column.name for column in facts.look.columns]
    measure = Measure(facts.table.select(names).schema, [column.name for column in facts.look.key])
    single_delivery = facts.look.ask.snapshot or facts.look.ask.partial
    days = np.zeros(facts.table.num_rows, np.int64) if single_delivery else facts.day_numbers
    slots = {int(day): iso_day(int(day)) for day in np.unique(days)}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("given", facts.table.select(names).append_column("_day", pa.array(days)))
        measure.add(db, "given", "_day", slots)
    return measure.statistics


def _draft_request(facts: Facts) -> DraftOptions:
    ask, look = facts.look.ask, facts.look
    return DraftOptions(
        key=tuple(column.name for column in look.key),
        skip=frozenset(time.name for time in look.times),
        entities=frozenset(column.name for column in look.entity) | look.personal,
        scales={column.name: column.scale for column in look.columns if column.scale},
        least_margin=_SNAPSHOT_MARGIN if ask.snapshot else _LEAST_MARGIN,
        deliveries="days",
        row_counts=not ask.partial,
        days=not (ask.snapshot or ask.partial),
        domains=dict(_domains(facts)),
        codes=frozenset(column.name for column in look.columns if facts.is_name(column)),
        close_sets=True,
    )


def _domains(facts: Facts) -> Iterator[tuple[str, tuple[float, float, str]]]:
    for column in facts.look.columns:
        bounds = facts.range(column.name) if column.is_number else None
        if bounds is None:
            continue
        domain = domain_of(column)
        if domain is not None:
            yield column.name, (domain.low, domain.high, domain.reason)
        elif words(column.header)[-1:] in (["year"], ["yr"]) and not column.scale:
            yield (
                column.name,
                (bounds.low - 10, bounds.high + 10, "Years around those of the file."),
            )
        elif facts.is_clock(column):
            yield column.name, (0, 2400, "A clock: hours and minutes.")
        elif column.type == "integer" and (bounds.low, bounds.high) == (0, 1):
            yield column.name, (0, 1, "A flag: 0 or 1.")


def _passing_words(facts: Facts, warned: int) -> str:
    if facts.look.ask.snapshot or facts.look.ask.partial:
        return "with a margin; " + (
            "these rows pass" if facts.look.ask.partial else "the file passes"
        )
    days = len(facts.days)
    if warned:
        return f"with a margin; of the {days:,} days {days - warned:,} pass and {warned:,} warn"
    return f"with a margin; each of the {days:,} days passes"


def _share(facts: Facts) -> float:
    """Return `max_quarantined_share`, large enough that one bad row does not block a delivery."""
    usual = 1 if facts.look.ask.snapshot else float(np.median(facts.rows_per_day))
    rows = facts.table.num_rows if facts.look.ask.snapshot else usual
    return min(0.5, max(0.01, math.ceil(150 / rows) / 100))
