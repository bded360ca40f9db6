"""First contract of a source, drafted from its data, with TODO marks for open questions.

A mark is a text that begins with TODO. As long as the kind of table, the known-at or an ambiguous
event time is marked, the contract does not load. With any mark, it cannot be active.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.authoring.open_questions import Undecided, undecided
from headrace.contracts.authoring.yaml_values import flow
from headrace.contracts.load import parse_contract
from headrace.contracts.model import FIRST_FIELD_ID
from headrace.core.clock import duration
from headrace.core.declarations.strict_yaml import MARK, parse_document
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.core.time_zones import zone_table
from headrace.scaffold.answers import KINDS, check_name
from headrace.scaffold.contract import column_lines, how, moment_lines, moment_of, null_tokens, plus
from headrace.scaffold.hints import ContractHint, annotated, by_day, find_hints
from headrace.scaffold.inspection.column_candidates import InspectedSample, inspect_sample
from headrace.scaffold.inspection.file_inspection import MAX_EVENTS, InspectedColumn
from headrace.scaffold.inspection.timestamp_parsing import TimeForm, time_form
from headrace.scaffold.proposal.faults import faults
from headrace.scaffold.proposal.sample import as_rows
from headrace.scaffold.templates import fill
from headrace.sources.sampling.sample import Sample

_INTRO = """\
# Proposed from data. Every TODO is for a person to decide, and `headrace contract lint` lists them;
# then write status: active."""
_SOMEWHEN = "CAST('2000-01-01T00:00:00Z' AS TIMESTAMPTZ)"


@dataclass(frozen=True)
class SourceAnswers:
    """A person's answers about a source; columns are named as in the data.

    Attributes:
        name: name of the table.
        owner: team that owns the table.
        kind: event, state or planned.
        time: the column with the event time.
        key: the columns that together identify a row.
        known_after: delay from event time to known-at, such as "10m".
        zone: IANA time zone of times without a UTC offset.
        time_format: strptime format of the time column.
    """

    name: str
    owner: str | None = None
    kind: str | None = None
    time: str | None = None
    key: tuple[str, ...] = ()
    known_after: str | None = None
    zone: str | None = None
    time_format: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "table", "--name NAME")
        if self.kind not in {None, *KINDS}:
            raise DeclarationError(
                f"{self.kind!r} is not a kind of table", fix=f"one of {', '.join(KINDS)}"
            )
        if self.known_after is not None:
            duration(self.known_after)
        if self.zone is not None:
            zone_table(self.zone)


@dataclass(frozen=True)
class Draft:
    """Drafted contract.

    Attributes:
        table: name of the table.
        text: its YAML.
        undecided: its open questions.
        faults: descriptions of sample rows that break it.
        hints: what the rows suggest; declared hints are part of the contract.
    """

    table: str
    text: str
    undecided: tuple[Undecided, ...]
    faults: tuple[str, ...]
    hints: tuple[ContractHint, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "version": "0.1.0",
            "status": "proposed",
            "conforms": not self.faults,
            "faults": list(self.faults),
            "undecided": [vars(question) for question in self.undecided],
            "hints": [hint.document() for hint in self.hints],
            "contract": self.text,
        }


@dataclass(frozen=True)
class _TimedDraft:
    time: str
    time_format: str | None = None


def draft(sample: Sample, answers: SourceAnswers) -> Draft:
    """Draft a contract from a sample of a source.

    Raises:
        DeclarationError: if a named column is missing, or the named time cannot be parsed.
    """
    inspected = inspect_sample(sample)
    headers = [column.column.header for column in inspected.columns]
    for name in (*answers.key, *filter(None, [answers.time])):
        if name not in headers:
            columns = ", ".join(headers)
            raise DeclarationError(f"the data have no column {name!r}", fix=f"one of: {columns}")
    path = Path(f"{answers.name}.yaml")
    contract = parse_contract(_written(inspected, answers, trial=True), path)
    rows = as_rows(sample, contract.null_tokens)
    hints = find_hints(contract, by_day(contract, rows))
    if answers.zone is not None:  # which answers the questions about zones
        hints = tuple(hint for hint in hints if hint.kind != "zone" or hint.declared)
    text = annotated(_written(inspected, answers), hints)
    marks = tuple(undecided(parse_document(text, path)))
    return Draft(answers.name, text, marks, faults(contract, rows), hints)


@dataclass(frozen=True)
class _Time:
    """Event time in the draft: its SQL, its description, and the column it is derived from."""

    sql: str
    words: str
    column: InspectedColumn | None = None
    form: TimeForm | None = None


def _time(inspected: InspectedSample, answers: SourceAnswers, *, trial: bool) -> _Time:
    """Return the event time: from the answers, else from the only candidate (marked TODO)."""
    times = (answers.time,) if answers.time else inspected.times
    if len(times) != 1:
        words = f"TODO: what is the event time? Time columns: {', '.join(times) or 'none'}"
        return _Time(_SOMEWHEN if trial else MARK, words)
    header = times[0]
    column = inspected.column(header).column
    form = time_form(inspected.sample.table[header], _TimedDraft(header, answers.time_format))
    words = f"{header}, {how(form, answers.zone or 'UTC')}."
    if answers.time is None:
        words = f"TODO: is this the event time? {words}"
    elif not form.aware and answers.zone is None:
        words = f"TODO: in which time zone is it? {words}"
    return _Time(ident(moment_of(column.name, form)), words, column, form)


def _written(inspected: InspectedSample, answers: SourceAnswers, *, trial: bool = False) -> str:
    """Return the contract's YAML; with `trial`, placeholders replace marks that prevent loading."""
    time = _time(inspected, answers, trial=trial)
    columns = [_as_time(column.column, time) for column in inspected.columns]
    key = answers.key or (inspected.keys[0] if inspected.keys else ())
    numbers = iter(range(FIRST_FIELD_ID, FIRST_FIELD_ID + 10_000))
    lines = [line for column in columns for line in _column(column, next(numbers), key, time)]
    if time.column is not None and time.form is not None:
        moments = [*moment_lines(time.column.name, time.form, answers.zone or "UTC", numbers)]
        lines += ["      # --- derived ---", *moments] if moments else []
    lag = answers.known_after
    stand_in = "event_time" if trial else "TODO"
    return fill(
        "contract.yaml",
        intro=_INTRO,
        more="",
        id=answers.name,
        table=answers.name,
        status="proposed",
        purpose=flow(f"TODO: what {answers.name} is for."),
        owner=flow(answers.owner or "TODO: who answers for it"),
        licence=flow("TODO: an SPDX id, or whose leave it takes"),
        purposes=flow(["TODO: what it may be used for"]),
        privacy=flow("TODO: public, internal, personal, …"),
        consumers=flow(["TODO: who reads it"]),
        grain=flow(_grain(inspected, key, answers)),
        kind=flow(answers.kind or ("event" if trial else "TODO")),
        null_tokens=flow(null_tokens(columns)),
        max_events=MAX_EVENTS,
        event_time=flow(time.sql),
        event_words=flow(time.words),
        known_at=stand_in if lag is None else flow(f"event_time{plus(lag)}"),
        known_words=flow(_KNOWN_AT_TODO if lag is None else f"{lag} after its time."),
        deleted="",
        known_todo="",
        columns="\n".join(lines),
    )


_KNOWN_AT_TODO = "TODO: from when can a row be used? If too early, features see the future."


def _as_time(column: InspectedColumn, time: _Time) -> InspectedColumn:
    if time.form is None or column != time.column:
        return column
    return InspectedColumn(column.header, column.name, time.form.type, column.nulls)


def _column(column: InspectedColumn, number: int, key: tuple[str, ...], time: _Time) -> list[str]:
    is_key = column.header in key
    is_time = time.column is not None and column.header == time.column.header
    return column_lines(
        column,
        number,
        description=f"TODO: what {column.header} means.",
        key_position=key.index(column.header) + 1 if is_key else None,
        required=is_key or (is_time and not column.nulls),
        unit="TODO" if column.type == "number" else None,
    )


def _grain(inspected: InspectedSample, key: tuple[str, ...], answers: SourceAnswers) -> str:
    names = ", ".join(key)
    if answers.key:
        return f"One row for each {names}."
    if key:
        return f"TODO: is it one row for each {names}? No two of {inspected.rows:,} rows share it."
    return "TODO: what is one row? No small set of columns identifies every row."
