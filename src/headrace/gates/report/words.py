"""A report's numbers, moments and states as a tired person reads them; no markup here."""

import json
import re
from collections.abc import Iterable
from math import isfinite

from headrace.clock import DAY, HOUR, MINUTE, from_us
from headrace.gates.report.model import Report

LONGEST = 120  # characters of a value that comes from data
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)(?:\.\d+)?Z")
_FIX = re.compile(r" \(fix: (.*)\)$", re.DOTALL)
_TYPES = {"int64": "integer", "double": "number", "string": "text", "bool": "yes or no"}
_STATES = {
    "pending": "waiting for a decision",
    "published": "published",
    "judged": "judged, to be published by the next run",
    "superseded": "replaced by a later delivery",
    "rejected": "rejected",
    "recalled": "recalled",
    "received": "received, not judged yet",
}


def kind(arrow: str) -> str:
    """A column's type in words."""
    return "moment, UTC" if arrow.startswith("timestamp") else _TYPES.get(arrow, arrow)


def parted(reason: str) -> tuple[str, str]:
    """(what is wrong, how to mend it or "") of a reason that says both."""
    found = _FIX.search(reason)
    return (reason[: found.start()], found[1]) if found else (reason, "")


def state(word: str) -> str:
    return _STATES.get(word, word)


def number(value: float) -> str:
    """`1,024`, `0.0153`, `1.2e+09`: few digits, thousands apart."""
    if isinstance(value, int) or (isfinite(value) and float(value).is_integer()):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def digits(found: float) -> str:
    """A number from data: no commas, since it may be a year or a flight."""
    return str(found) if isinstance(found, int) else f"{found:.6g}"


def percent(share: float) -> str:
    """Never `0%` of something, nor `100%` of not quite all."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], most: int = 6) -> str:
    """`a, b and c`, the rest counted."""
    every = list(words)
    if len(every) > most:
        every = [*every[: most - 1], f"{len(every) - most + 1} more"]
    return " and ".join(part for part in (", ".join(every[:-1]), *every[-1:]) if part)


def moment(us: int) -> str:
    """To the minute, in UTC."""
    return f"{from_us(us):%Y-%m-%d %H:%M} UTC"


def age(us: int) -> str:
    """A span of time, in the one unit that says most."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if us >= unit * (2 if unit == DAY else 1):
            return counted(us // unit, name)
    return "less than a minute"


def ago(us: int, now: int) -> str:
    return f"{age(now - us)} ago" if us <= now else moment(us)


def value(found: object) -> str:
    """A value from data, shortened; text keeps its spaces, and nothing reads as nothing."""
    if found is None:
        return "null"
    if found == "":
        return "empty text"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, int | float):
        return digits(found)
    if isinstance(found, str):
        return shortened(_minute(found))
    return shortened(json.dumps(found, ensure_ascii=False, default=str))


def _minute(text: str) -> str:
    """A moment in RFC 3339 without what every moment of its kind has."""
    found = _MOMENT.fullmatch(text)
    return f"{found[1]} {found[2]}{(found[3] or '').removeprefix(':00')}" if found else text


def scope(text: str) -> str:
    """An override's scope, as canonical JSON, in words: `checks wind_speed; lines 3, 9`."""
    try:
        found = json.loads(text)
    except ValueError:
        return shortened(text)
    if not isinstance(found, dict):
        return shortened(text)
    return shortened("; ".join(_part(name, value) for name, value in found.items()))


def _part(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} {', '.join(map(str, value))}"
    if isinstance(value, dict):
        return f"{name} {', '.join(f'{k} = {v}' for k, v in value.items())}"
    return f"the whole {name}" if value is True else f"{name} {value}"


def shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}… ({len(text):,} characters)"


def capital(text: str) -> str:
    """Sentences begin large; a column's name stays as it is spelled."""
    word = text.partition(" ")[0]
    return text if "_" in word else text[:1].upper() + text[1:]


# What the page says first


def headline(report: Report) -> str:
    """The gravest reason, a named one if there is one; a sentence without its verdict."""
    failed = [result for result in report.failed if result.kind != "override"]
    named = [r for r in failed if r.kind == "semantic" and r.status == "fail"]
    if failed and failed[0].status == "error":
        return failed[0].reason
    if named:
        return shortened(named[0].reason.partition(": ")[0].rstrip("."), 200)
    if failed:
        return shortened(parted(failed[0].reason)[0], 200)
    return f"all {counted(len(report.judgement.counted), 'check')} passed"


def call(report: Report) -> tuple[str, str]:
    """(whether the reader has to do something, and why) in words."""
    if report.state == "superseded":
        return "Closed", "A later delivery of this slot passed and took its place."
    if report.closed:
        return "Closed", f"Somebody {report.state} this batch; none of it is used."
    if report.held:
        rows = counted(report.judgement.delivered - report.judgement.repeated, "row")
        return "Needs a decision", f"Nothing of this batch is published: {rows} held back."
    if report.state != "published":
        return "Under way", f"The batch is {state(report.state)}."
    return _call_of_published(report)


def _call_of_published(report: Report) -> tuple[str, str]:
    if report.verdict in {"BLOCK", "ERROR"}:
        return "Needs a decision", "Published under earlier rules; under the present ones it fails."
    if report.overrides:
        return "Decided", capital(report.overrides[-1].reason)
    if report.judgement.quarantined_count:
        kept = counted(report.judgement.quarantined_count, "row")
        return "Can wait", f"Published without {kept}, kept in quarantine."
    if report.verdict == "WARN":
        return "Can wait", "Everything is published; a check asks to be looked at by day."
    return "Nothing to do", "Everything is published."


def if_nothing_is_done(report: Report) -> list[str]:
    """What goes on by itself, in order of what matters."""
    if report.closed:
        return [_closed(report), _standing(report)]
    if report.held or report.verdict in {"BLOCK", "ERROR"}:
        return [*_while_held(report), *_next_run(report)]
    if report.judgement.quarantined_count:
        return _while_quarantined(report)
    if report.verdict == "WARN":
        return ["Nothing waits, and nothing is missing: all rows are published and in use."]
    return ["Nothing waits."]


def _closed(report: Report) -> str:
    if report.state != "superseded":
        said = f" ({report.note})" if report.note else ""
        return f"Nothing: its rows are set aside for good and count as rejected{said}."
    return "Nothing: its rows are in no table, and the delivery that passed is used in their stead."


def _standing(report: Report) -> str:
    """What the table serves, and how old it is."""
    good = report.last_good
    if good is None:
        return f"Nothing of {report.table} was published before this batch."
    when = ago(good.published_at, report.rendered_at)
    rows = counted(good.rows, "row")
    if good.slot == report.slot:
        return (
            f"{report.table} serves the earlier delivery of {good.slot}: {rows}, published {when}."
        )
    return f"The batch before it, {good.slot}, is published: {rows}, {when}."


def _while_held(report: Report) -> list[str]:
    good, rows = report.last_good, report.judgement.delivered - report.judgement.repeated
    if report.state == "published":
        return [f"{report.table} keeps serving the file of this batch that passed earlier rules."]
    if good is None:
        return [
            f"{report.table} stays without data: no batch before this one was published.",
            f"{counted(rows, 'row')} wait.",
        ]
    when = ago(good.published_at, report.rendered_at)
    kept = f"{report.table} keeps serving what it served before, up to {good.slot}"
    if report.corrects:
        serves = f"{report.table} keeps serving the earlier delivery of {good.slot}"
        return [f"{serves}, published {when}. Its correction stays out."]
    return [
        f"{kept} (published {when}). Readers see no bad row, and no error.",
        f"{report.slot} stays missing: {counted(rows, 'row')}. {_stale(report)}".rstrip(),
        *_unreleased(report),
    ]


def _stale(report: Report) -> str:
    features = sum(count for _, count in report.reach.views)
    if not features:
        return ""
    return f"{counted(features, 'feature')} are computed from older rows until it is there."


def _unreleased(report: Report) -> list[str]:
    names = [name for name, uses in report.reach.datasets if "its rows" in uses]
    told = f"{listed(names)} has no rows of {report.slot}; a new release goes without them."
    return [told] if names else []


def _next_run(report: Report) -> list[str]:
    if report.verdict == "ERROR":
        again = "The next run judges the batch again, and publishes it if it passes."
        return [f"The crash says nothing about the data. {again}"]
    return ["A corrected delivery of the same slot takes its place by itself on the next run."]


def _while_quarantined(report: Report) -> list[str]:
    rows = counted(report.judgement.quarantined_count, "row")
    verb = "stays" if report.judgement.quarantined_count == 1 else "stay"
    until = "until released, or until a corrected delivery brings them"
    return [
        f"{counted(report.passing, 'row')} are published and in use.",
        f"{rows} {verb} in quarantine, in no table, feature or dataset, {until}.",
    ]
