"""The draft of a contract: what the file shows, with a TODO where only its owner knows."""

from collections.abc import Iterable, Iterator

from headrace.clock import duration
from headrace.contracts.model import FIRST_FIELD_ID
from headrace.contracts.writing import flow
from headrace.scaffold.look import MAX_EVENTS, NOTHING, Column, Look
from headrace.scaffold.moments import TimeForm
from headrace.scaffold.templates import fill
from headrace.scaffold.words import Derived
from headrace.sql import ident

_UNITS = (("HOUR", "1h"), ("MINUTE", "1m"), ("SECOND", "1s"), ("MICROSECOND", "1us"))


def draft_contract(
    look: Look,
    derived: Iterable[Derived] = (),
    *,
    pipeline: str,
    consumers: Iterable[str],
) -> str:
    """ODCS YAML for the table of `look`; `derived` are columns that follow from a row."""
    ask = look.ask
    numbers = iter(range(FIRST_FIELD_ID, FIRST_FIELD_ID + 10_000))
    lines = [line for column in look.columns for line in _delivered(look, column, next(numbers))]
    lines.append("      # --- derived ---")
    lines += moment_lines(look.time.name, look.form, ask.zone, numbers)
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
        known_at=flow(_known_at(look)),
        known_words=flow(_known_words(look)),
        known_todo="" if ask.known_after or ask.known_at else _KNOWN_TODO,
        deleted=_DELETED.format(flow(ident(ask.deleted))) if ask.deleted else "",
        columns="\n".join(lines),
    )


_INTRO = """\
# Drafted from one file. TODO: owner, licence and purposes; what each column means; a unit for each
# number: {property: unit, value: EUR}."""
_KNOWN_TODO = "      # TODO: from when can a row be used? Too early, and features see the future.\n"


_DELETED = """\
      - property: deleted
        value: {{expression: {}, description: The source says that it is gone.}}
"""


def _known_at(look: Look) -> str:
    if look.ask.known_at:
        return ident(look.ask.known_at)
    return f"event_time{plus(known_after(look))}"


def _known_words(look: Look) -> str:
    lag = known_after(look)
    if look.ask.known_at:
        return f"{look.ask.known_at}, from when it could be read."
    return f"{lag} after its time." if lag != "0s" else "At once."


def known_after(look: Look) -> str:
    """As asked; else a date is over a day later, and a moment gets ten minutes."""
    if look.ask.known_after is not None:
        return look.ask.known_after
    return "1d" if look.form.dates else "10m"


def moment_name(look: Look) -> str:
    """The published timestamp: the time column itself, or what is derived from it."""
    return moment_of(look.time.name, look.form)


def moment_of(time: str, form: TimeForm) -> str:
    return time if form.expression is None else f"{time}_utc"


def _how(look: Look) -> str:
    return how(look.form, look.ask.zone)


def how(form: TimeForm, zone: str) -> str:
    """How a time reads, in words."""
    zone = "UTC" if form.aware else zone
    return f"midnight in {zone}" if form.dates else f"a moment in {zone}"


def plus(lag: str) -> str:
    us = duration(lag)
    if us == 0:
        return ""
    unit, one = next((unit, one) for unit, one in _UNITS if us % duration(one) == 0)
    return f" {'-' if us < 0 else '+'} INTERVAL {abs(us) // duration(one)} {unit}"


def null_tokens(columns: Iterable[Column]) -> list[str]:
    """`NA` in a column of numbers is how R exports; then it means null in texts, too."""
    found = {token for column in columns for token in column.null_tokens}
    return ["", *(["NA"] if "NA" in found else [])]


def _delivered(look: Look, column: Column, number: int) -> list[str]:
    is_key = column in look.key
    return column_lines(
        column,
        number,
        about=_about(look, column),
        key_position=look.key.index(column) + 1 if is_key else None,
        required=is_key or column == look.time,
        round_up=column.header == look.ask.known_at,
    )


def column_lines(
    column: Column,
    number: int,
    *,
    about: str,
    key_position: int | None = None,
    required: bool = False,
    unit: str | None = None,
    round_up: bool = False,
) -> list[str]:
    """A delivered column as an entry of `properties`, indented for it; `number` is its field id."""
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
    if tokens := [token for token in column.null_tokens if token in NOTHING]:
        custom["nullTokens"] = tokens
    return [
        f"      - name: {flow(column.name)}",
        f"        logicalType: {column.type}",
        *(["        required: true"] if required else []),
        *(["        primaryKey: true"] if key_position else []),
        *([f"        primaryKeyPosition: {key_position}"] if key_position else []),
        f"        description: {flow(about)}",
        "        customProperties:",
        *(f"          - {flow({'property': key, 'value': one})}" for key, one in custom.items()),
    ]


def _about(look: Look, column: Column) -> str:
    if column.header in {look.ask.known_at, look.ask.deleted}:
        return "Given by the source: " + (
            "from when the row could be read."
            if column.header == look.ask.known_at
            else "whether it is gone."
        )
    if column == look.time:
        return f"When it happened, {_how(look)}."
    measured = column.is_number and column not in (*look.key, *look.entity)
    return f"TODO: what {column.header} means" + (", and its unit." if measured else ".")


def moment_lines(time: str, form: TimeForm, zone: str, numbers: Iterator[int]) -> Iterator[str]:
    """The columns that turn the delivered column `time` into a moment; none if it is one."""
    if form.expression is None:
        return
    name, sql = moment_of(time, form), form.sql(time)
    words = f"{time} as a moment."
    if form.aware or zone == "UTC":
        aware = sql if form.aware else f"CAST({sql} AS TIMESTAMPTZ)"
        yield from _derived(Derived(name, "timestamp", words, aware), next(numbers))
        return
    for part in ("year", "month", "day"):
        yield from _hidden(f"{time}_{part}", f"CAST({part}({sql}) AS BIGINT)")
    clock = f"CAST(hour({sql}) * 100 + minute({sql}) AS BIGINT)"
    yield from _hidden(f"{time}_clock", clock)
    if not form.dates:
        yield from _hidden(f"{time}_rest", f"CAST(microsecond({sql}) AS BIGINT)")
    minute = name if form.dates else f"{time}_minute"
    parts = ", ".join(f"{part}: {time}_{part}" for part in ("year", "month", "day", "clock"))
    rule = f"op: local_time, {parts}, zone: {zone}, ambiguous: first, missing: forward"
    yield f"      - name: {minute}"
    yield "        logicalType: timestamp"
    yield f"        description: {flow(words)}"
    yield "        customProperties:"
    own = f"fieldId, value: {next(numbers)}" if form.dates else "hidden, value: true"
    yield f"          - {{property: {own}}}"
    yield f"          - {{property: derivation, value: {{{rule}}}}}"
    if not form.dates:
        whole = f"{ident(minute)} + to_microseconds({ident(f'{time}_rest')})"
        yield from _derived(Derived(name, "timestamp", words, whole), next(numbers))


def _hidden(name: str, sql: str) -> Iterator[str]:
    yield f"      - name: {name}"
    yield "        logicalType: integer"
    yield "        description: A part of the time on the wall clock."
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
