"""Draft of a contract from a file, with a TODO for everything that only the owner knows."""

import math
from collections.abc import Iterable, Iterator, Sequence

from headrace.contracts.authoring.yaml_values import flow
from headrace.contracts.model import FIRST_FIELD_ID
from headrace.core.clock import HOUR, duration
from headrace.core.sql import ident
from headrace.scaffold.inspection.column_words import NULL_TEXTS
from headrace.scaffold.inspection.declarations import NO_DELAYS, Delays, Derived
from headrace.scaffold.inspection.domains import is_calendar, is_code, is_place, unit_of
from headrace.scaffold.inspection.file_inspection import MAX_EVENTS, InspectedColumn, Look
from headrace.scaffold.inspection.relations import DeclaredRelation
from headrace.scaffold.inspection.timestamp_parsing import TimeForm
from headrace.scaffold.templates import fill

_UNITS = (("HOUR", "1h"), ("MINUTE", "1m"), ("SECOND", "1s"), ("MICROSECOND", "1us"))


def draft_contract(
    look: Look,
    derived: Iterable[Derived] = (),
    *,
    pipeline: str,
    consumers: Iterable[str],
    delays: Delays = NO_DELAYS,
    relations: Sequence[DeclaredRelation] = (),
) -> str:
    """Return the drafted contract as ODCS YAML.

    Args:
        look: the inspected file.
        derived: columns to derive from each row.
        pipeline: name of the pipeline, the first part of the contract's id.
        consumers: the datasets that read the table.
        delays: delays of known-at, derived from other time columns of the rows.
        relations: relations that hold for nearly all rows.
    """
    ask = look.ask
    numbers = iter(range(FIRST_FIELD_ID, FIRST_FIELD_ID + 10_000))
    lines = [line for column in look.columns for line in _delivered(look, column, next(numbers))]
    if can_be_corrected(look):
        lines += [
            "      # --- optional: only in files of corrections ---",
            *_corrected(next(numbers)),
        ]
    lines.append("      # --- derived ---")
    times = [column.name for column in look.times]
    lines += moment_lines(look.time_name, look.form, ask.zone, numbers, times)
    for later in delays.later:
        lines += moment_lines(later.column.name, later.form, ask.zone, numbers)
    for column in derived:
        lines += _derived(column, next(numbers))
    if lines[-1].strip().startswith("#"):
        lines.pop()
    return fill(
        "contract.yaml",
        intro=_INTRO,
        id=f"{pipeline}-{ask.table_name}",
        table=ask.table_name,
        status="draft",
        purpose=flow(f"TODO: what {ask.table_name} is for."),
        owner="not_stated",
        licence="not_stated",
        purposes="[training]",
        privacy="not_stated",
        consumers=flow(list(consumers)),
        grain=flow(f"One row for each {', '.join(column.name for column in look.key)}."),
        kind=ask.kind,
        null_tokens=flow(null_tokens(look.columns)),
        max_events=MAX_EVENTS,
        event_time=flow(ident(moment_name(look))),
        event_words=flow(f"{ask.time}, {_how(look)}."),
        known_at=flow(_known_at(look, delays)),
        known_words=flow(_known_words(look, delays)),
        known_todo=_known_comment(look, delays),
        more=_zone_lines(ask.zone) + _relation_lines(relations),
        deleted=_DELETED.format(flow(ident(ask.deleted))) if ask.deleted else "",
        columns="\n".join(lines),
    )


# A known-at that is derived from other columns would be the same in a correction as in the original
# row. So a correction states its own known-at in this column.
CORRECTED = "corrected_at"
_INTRO = """\
# Drafted from one file. TODO: owner, licence and purposes; what each column means; a unit for each
# number: {property: unit, value: EUR}."""

_DELETED = """\
      - property: deleted
        value: {{expression: {}, description: The source marked the row as deleted.}}
"""


def _known_at(look: Look, delays: Delays) -> str:
    if look.ask.known_at:
        return ident(look.ask.known_at)
    latest = [f"coalesce({ident(name)}, event_time)" for name in _later_names(delays)]
    start = f"greatest(event_time, {', '.join(latest)})" if latest else "event_time"
    expression = f"{start}{plus(known_after(look, delays))}"
    return f"greatest({expression}, {CORRECTED})" if can_be_corrected(look) else expression


def can_be_corrected(look: Look) -> bool:
    """Return True if the draft gets `corrected_at`, the column with the known-at of corrections."""
    return not look.ask.known_at and all(column.name != CORRECTED for column in look.columns)


def _corrected(number: int) -> list[str]:
    description = (
        "The time from which a correction of the row could be read, such as 2013-01-31T12:00:00Z. A"
        " correction repeats the whole row, with this column; other files omit the column."
    )
    return [
        f"      - name: {CORRECTED}",
        "        logicalType: timestamp",
        f"        description: {flow(description)}",
        "        customProperties:",
        f"          - {{property: fieldId, value: {number}}}",
        "          - {property: mayBeAbsent, value: true}",
        "          - {property: rounding, value: up}",
    ]


def _later_names(delays: Delays) -> list[str]:
    return [moment_of(later.column.name, later.form) for later in delays.later]


def _known_words(look: Look, delays: Delays) -> str:
    lag = known_after(look, delays)
    if look.ask.known_at:
        return f"{look.ask.known_at}, the time from which the row could be read."
    later = f", or {CORRECTED} if that is later" if can_be_corrected(look) else ""
    if delays.later:
        names = ", ".join(delay.column.name for delay in delays.later)
        return f"{lag} after the latest of its time and {names}{later}."
    return f"{lag} after its time{later}." if lag != "0s" else f"At once{later}."


def _known_comment(look: Look, delays: Delays) -> str:
    lines = []
    if delays.later:
        names = ", ".join(later.column.header for later in delays.later)
        lines.append(f"A row is complete only after {names}: features must not see it earlier.")
    if delays.clocks and not look.ask.known_after:
        names = ", ".join(delays.clocks)
        lines.append(f"{names}: clocks without a date; they may be up to a day after the event.")
    if not look.ask.known_after and not look.ask.known_at:
        lines.append(
            "TODO: from when can a row be used? If this is too early, features see the future."
        )
    return "".join(f"      # {line}\n" for line in lines)


def _zone_lines(zone: str) -> str:
    if zone == "UTC":
        return ""
    return (
        "      # Daily deliveries cover a day of this time zone.\n"
        f"      - {{property: slotZone, value: {zone}}}\n"
    )


def _relation_lines(relations: Sequence[DeclaredRelation]) -> str:
    if not relations:
        return ""
    lines = [
        "      # Relations that hold for nearly all rows. Single rows may break one; if many do, a",
        "      # semantic change is reported. TODO: remove relations that hold by chance.",
        "      - property: relations",
        "        value:",
    ]
    for relation in relations:
        entry = {"name": relation.name, "expression": relation.sql, "description": relation.words}
        lines += [
            f"          {'- ' if key == 'name' else '  '}{key}: {flow(value)}"
            for key, value in entry.items()
        ]
    return "\n".join(lines) + "\n"


def known_after(look: Look, delays: Delays = NO_DELAYS) -> str:
    """Return the user's delay; without one, "1d" for dates and undated clocks, else "10m"."""
    if look.ask.known_after is not None:
        return look.ask.known_after
    return "1d" if look.form.dates or delays.dates or delays.clocks else "10m"


def known_by(look: Look, delays: Delays) -> str:
    """Return the delay from event time by which nearly every row is known."""
    lag = known_after(look, delays)
    if not delays.usual_us:
        return lag
    return f"{math.ceil((duration(lag) + delays.usual_us) / HOUR)}h"


def moment_name(look: Look) -> str:
    """Return the name of the event timestamp: the time column, or the column derived from it."""
    return moment_of(look.time_name, look.form)


def moment_of(time: str, form: TimeForm) -> str:
    if form.columns:
        return f"{time}_at"
    return time if form.expression is None else f"{time}_utc"


def _how(look: Look) -> str:
    return how(look.form, look.ask.zone)


def how(form: TimeForm, zone: str) -> str:
    """Describe in words how a time is interpreted."""
    zone = "UTC" if form.aware else zone
    return f"midnight in {zone}" if form.dates else f"a moment in {zone}"


def plus(lag: str) -> str:
    us = duration(lag)
    if us == 0:
        return ""
    unit, step = next((unit, step) for unit, step in _UNITS if us % duration(step) == 0)
    return f" {'-' if us < 0 else '+'} INTERVAL {abs(us) // duration(step)} {unit}"


def null_tokens(columns: Iterable[InspectedColumn]) -> list[str]:
    """Return the table's null tokens: the empty field, and `NA` if any column uses it as null."""
    tokens = {token for column in columns for token in column.null_tokens}
    return ["", *(["NA"] if "NA" in tokens else [])]


def _delivered(look: Look, column: InspectedColumn, number: int) -> list[str]:
    is_key = column in look.key
    return column_lines(
        column,
        number,
        description=_description(look, column),
        key_position=look.key.index(column) + 1 if is_key else None,
        required=is_key or (column in look.times and (len(look.times) == 1 or not column.nulls)),
        round_up=column.header == look.ask.known_at,
        unit=unit_of(column),
        personal=column.name in look.personal,
    )


def column_lines(
    column: InspectedColumn,
    number: int,
    *,
    description: str,
    key_position: int | None = None,
    required: bool = False,
    unit: str | None = None,
    round_up: bool = False,
    personal: bool = False,
) -> list[str]:
    """Return the YAML lines of a delivered column, indented as an entry of `properties`.

    `number` is its field id.
    """
    custom: dict[str, object] = {"fieldId": number}
    if column.header != column.name:
        custom["aliases"] = [column.header]
    if unit is not None:
        custom["unit"] = unit
    if column.scale is not None:
        custom["scale"] = column.scale
    if column.max_abs is not None and (column.scale is not None or key_position is None):
        custom["maxAbs"] = column.max_abs
    if round_up:
        custom["rounding"] = "up"
    if tokens := [token for token in column.null_tokens if token in NULL_TEXTS]:
        custom["nullTokens"] = tokens
    return [
        f"      - name: {flow(column.name)}",
        f"        logicalType: {column.type}",
        *(["        required: true"] if required else []),
        *(["        primaryKey: true"] if key_position else []),
        *([f"        primaryKeyPosition: {key_position}"] if key_position else []),
        f"        description: {flow(description)}",
        *(["        classification: personal"] if personal else []),
        "        customProperties:",
        *(
            f"          - {flow({'property': key, 'value': setting})}"
            for key, setting in custom.items()
        ),
    ]


def _description(look: Look, column: InspectedColumn) -> str:
    if column.header in {look.ask.known_at, look.ask.deleted}:
        return "Given by the source: " + (
            "the time from which the row could be read."
            if column.header == look.ask.known_at
            else "true if the row is deleted."
        )
    if column in look.times:
        part = "A part of the event time" if len(look.times) > 1 else "The event time"
        return f"{part}, {_how(look)}."
    measured = column.is_number and column not in (*look.key, *look.entity)
    if measured and unit_of(column):
        return f"TODO: what {column.header} means; is its unit right?"
    codes = is_calendar(column) or is_code(column) or is_place(column)
    return f"TODO: what {column.header} means" + (
        ", and its unit." if measured and not codes else "."
    )


def moment_lines(
    time: str, form: TimeForm, zone: str, numbers: Iterator[int], columns: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the YAML lines of columns that derive a timestamp from delivered time columns.

    Nothing is yielded if the delivered column is already a timestamp.

    Args:
        time: the delivered column, or the prefix for names of derived columns.
        form: format of the time.
        zone: IANA time zone of times without a UTC offset.
        numbers: unused field ids.
        columns: the delivered columns if there are several, in the order of `form`.
    """
    if form.expression is None:
        return
    name, sql = moment_of(time, form), form.sql(*(columns or [time]))
    words = f"{', '.join(columns) or time} as a moment."
    if form.native:
        year, month, day, *clock = columns
        fields = f"year: {year}, month: {month}, day: {day}, clock: {clock[0] if clock else 0}"
        yield from _clocked(name, words, f"fieldId, value: {next(numbers)}", fields, zone)
        return
    if form.aware or zone == "UTC":
        aware = sql if form.aware else f"CAST({sql} AS TIMESTAMPTZ)"
        yield from _derived(Derived(name, "timestamp", words, aware), next(numbers))
        return
    for part in ("year", "month", "day"):
        yield from _hidden(f"{time}_{part}", f"CAST({part}({sql}) AS BIGINT)")
    hhmm = f"CAST(hour({sql}) * 100 + minute({sql}) AS BIGINT)"
    yield from _hidden(f"{time}_clock", hhmm)
    if not form.dates:
        yield from _hidden(f"{time}_rest", f"CAST(microsecond({sql}) AS BIGINT)")
    minute = name if form.dates else f"{time}_minute"
    parts = ", ".join(f"{part}: {time}_{part}" for part in ("year", "month", "day", "clock"))
    attribute = f"fieldId, value: {next(numbers)}" if form.dates else "hidden, value: true"
    yield from _clocked(minute, words, attribute, parts, zone)
    if not form.dates:
        expression = f"{ident(minute)} + to_microseconds({ident(f'{time}_rest')})"
        yield from _derived(Derived(name, "timestamp", words, expression), next(numbers))


def _clocked(name: str, description: str, attribute: str, parts: str, zone: str) -> Iterator[str]:
    """Yield the YAML lines of a column that derives a timestamp from a local date and time."""
    rule = f"op: local_time, {parts}, zone: {zone}, ambiguous: first, missing: forward"
    yield f"      - name: {name}"
    yield "        logicalType: timestamp"
    yield f"        description: {flow(description)}"
    yield "        customProperties:"
    yield f"          - {{property: {attribute}}}"
    yield f"          - {{property: derivation, value: {{{rule}}}}}"


def _hidden(name: str, sql: str) -> Iterator[str]:
    yield f"      - name: {name}"
    yield "        logicalType: integer"
    yield "        description: A part of the local time."
    yield f"        transformLogic: {flow(sql)}"
    yield "        customProperties:"
    yield "          - {property: hidden, value: true}"


def _derived(column: Derived, number: int) -> Iterator[str]:
    yield f"      - name: {column.name}"
    yield f"        logicalType: {column.type}"
    yield f"        description: {flow(column.words)}"
    yield f"        transformLogic: {flow(column.sql)}"
    yield "        customProperties:"
    yield f"          - {{property: fieldId, value: {number}}}"
    if column.max_abs is not None:
        yield f"          - {{property: maxAbs, value: {column.max_abs}}}"
