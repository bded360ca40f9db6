"""The draft of a suite from a file: what was seen, with slack."""

import math
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import yaml

from headrace.contracts.authoring.yaml_values import flow
from headrace.gates.drafting import Asked, Draft, Measure, Statistics, check_text, draft_checks
from headrace.gates.suite_reader import parse_suite
from headrace.scaffold.deliveries import deliveries
from headrace.scaffold.gate_rehearsal import Trial, rehearse
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.domains import domain_of
from headrace.scaffold.inspection.facts import Facts, iso_day
from headrace.scaffold.templates import fill

# A first file says little of what is still to come.
_LEAST_MARGIN, _SNAPSHOT_MARGIN = 0.5, 2.0


def draft_suite(found: Facts, pipeline: str) -> str:
    """YAML for the table; every day of the file passes, or nearly: see `WARNED_SHARE`."""
    kept = draft_checks(_statistics(found), _asked(found)).kept
    text = _text(found, pipeline, kept, Trial())
    if found.look.ask.snapshot or found.look.ask.partial:
        return text
    days = {name.rpartition("_")[2].removesuffix(".csv"): data for name, data in _days(found)}
    suite = parse_suite(yaml.safe_load(text)).stored(found.contract)
    trial = rehearse(suite, found.contract, days)
    passing = [draft for draft in kept if draft.meta["id"] not in trial.checks]
    return _text(found, pipeline, passing, trial)


def _days(found: Facts) -> list[tuple[str, bytes]]:
    prefix = f"{found.look.ask.table_name}_"
    return [(name, data) for name, data in deliveries(found).items() if name.startswith(prefix)]


def _text(found: Facts, pipeline: str, drafts: Sequence[Draft], trial: Trial) -> str:
    actions = trial.actions()
    meta: dict[str, object] = {
        "table": found.look.ask.table_name,
        "version": 1,
        "max_quarantined_share": _share(found),
        "units": "contract",
    }
    if actions:
        meta["semantic"] = actions
    return fill(
        "suite.yaml",
        pipeline=pipeline,
        table=found.look.ask.table_name,
        rows=f"{found.table.num_rows:,}",
        seen=_seen(found, trial.warned(actions)),
        trial="".join(f"# {line}\n" for line in _told(trial, actions)),
        meta=flow(meta),
        checks="\n".join(check_text(draft) for draft in drafts),
    )


def _told(trial: Trial, actions: Mapping[str, str]) -> Iterator[str]:
    """Summarize the rehearsal for the reader of the draft."""
    if actions:
        yield "`semantic`: detectors that reported these days of the file, which nobody changed:"
        for key in actions:
            yield f"  {key}: {_some(trial.changes[key])}"
    if rare := sorted(trial.changes.keys() - actions.keys()):
        yield "Detectors that stay on although they warn of these days of the file:"
        for key in rare:
            yield f"  {key}: {_some(trial.changes[key])}"
    if trial.checks:
        yield "Not drafted, because they failed on days of the file:"
        for name, days in sorted(trial.checks.items()):
            yield f"  {name}: {_some(days)}"
    for said, days in trial.other.items():
        yield f"The contract: {said} ({_some(days)})"


def _some(days: Sequence[str]) -> str:
    more = f" and {len(days) - 3} more" if len(days) > 3 else ""
    return f"{', '.join(days[:3])}{more}"


def _statistics(found: Facts) -> Statistics:
    names = [column.name for column in found.look.columns]
    measure = Measure(found.table.select(names).schema, [one.name for one in found.look.key])
    whole = found.look.ask.snapshot or found.look.ask.partial
    days = np.zeros(found.table.num_rows, np.int64) if whole else found.day_numbers
    slots = {int(day): iso_day(int(day)) for day in np.unique(days)}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("given", found.table.select(names).append_column("_day", pa.array(days)))
        measure.add(db, "given", "_day", slots)
    return measure.found


def _asked(found: Facts) -> Asked:
    ask, look = found.look.ask, found.look
    return Asked(
        key=tuple(one.name for one in look.key),
        skip=frozenset(time.name for time in look.times),
        entities=frozenset(one.name for one in look.entity) | look.personal,
        scales={column.name: column.scale for column in look.columns if column.scale},
        least_margin=_SNAPSHOT_MARGIN if ask.snapshot else _LEAST_MARGIN,
        deliveries="days",
        row_counts=not ask.partial,
        days=not (ask.snapshot or ask.partial),
        domains=dict(_domains(found)),
        codes=frozenset(column.name for column in look.columns if found.is_name(column)),
        close_sets=True,
    )


def _domains(found: Facts) -> Iterator[tuple[str, tuple[float, float, str]]]:
    for column in found.look.columns:
        seen = found.range(column.name) if column.is_number else None
        if seen is None:
            continue
        domain = domain_of(column)
        if domain is not None:
            yield column.name, (domain.low, domain.high, domain.reason)
        elif words(column.header)[-1:] in (["year"], ["yr"]) and not column.scale:
            yield column.name, (seen.low - 10, seen.high + 10, "Years around those of the file.")
        elif found.is_clock(column):
            yield column.name, (0, 2400, "A clock: hours and minutes.")
        elif column.type == "integer" and (seen.low, seen.high) == (0, 1):
            yield column.name, (0, 1, "A flag: 0 or 1.")


def _seen(found: Facts, warned: int) -> str:
    if found.look.ask.snapshot or found.look.ask.partial:
        return "with slack; " + ("they pass" if found.look.ask.partial else "the file passes")
    days = len(found.days)
    if warned:
        return f"with slack; of the {days:,} days {days - warned:,} pass and {warned:,} warn"
    return f"with slack; each of the {days:,} days passes"


def _share(found: Facts) -> float:
    """So great that one bad row does not stop a small delivery."""
    usual = 1 if found.look.ask.snapshot else float(np.median(found.rows_per_day))
    rows = found.table.num_rows if found.look.ask.snapshot else usual
    return min(0.5, max(0.01, math.ceil(150 / rows) / 100))
