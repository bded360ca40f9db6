"""Champions and retrainings: what was released, trained and compared, who won, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.gates.report import words
from headrace.gates.report.html import Child, Html, element
from headrace.gates.report.tables import Row, table
from headrace.monitoring.ledger import Step
from headrace.monitoring.report import saying
from headrace.monitoring.report.model import MonitorReport, Reign, Retraining

_LISTED = 15


def retrainings(report: MonitorReport) -> Html:
    """The champion, then every retraining with its steps, the newest first."""
    told = [_one(one) for one in reversed(report.retrainings)]
    return element(
        "section",
        element("h2", "Models"),
        [_reign(one) for one in report.reigns[-1:]],
        element("p", "None in charge yet.") if not report.reigns else None,
        element("details", element("summary", "Champions before it"),
                [_reign(one) for one in reversed(report.reigns[:-1])])
        if len(report.reigns) > 1 else None,
        element("h3", "Retrainings"),
        told or element("p", "No window asked for one."),
        id="models",
    )  # fmt: skip


def _reign(one: Reign) -> Html:
    return element("p", element("strong", element("code", one.ref)),
                   f" in charge since {words.moment(one.since)}: {one.reason}")  # fmt: skip


def _one(one: Retraining) -> Html:
    title = f"{one.window or 'By hand'}: {saying.ending(one)}"
    return element(
        "article",
        element("h3", title),
        element("p", element("code", one.trigger_id[:12]), " ", " ".join(one.reasons),
                class_="small soft"),
        element("ol", [_step(step) for step in one.steps], class_="flow") if one.steps else None,
        class_="step",
    )  # fmt: skip


def _step(step: Step) -> Html:
    return element(
        "li",
        element("strong", saying.STEPS.get(step.step, step.step)),
        element("span", f" {words.moment(step.recorded_at)}", class_="soft small"),
        _told(step.detail),
        _segments(step.detail),
    )


def _told(detail: Mapping[str, Any]) -> list[Child]:
    """Its reason in words; what else is plain, as pairs."""
    said = [str(detail[key]) for key in ("reason", "why", "says", "error") if detail.get(key)]
    pairs = [
        (name, value)
        for name, value in detail.items()
        if isinstance(value, str | int | float) and name not in {"reason", "why", "says", "error"}
    ]
    return [
        [element("p", text) for text in said],
        element("p", [[element("span", f"{name} {_shown(value)}", class_="tag")]
                      for name, value in pairs[:_LISTED]]) if pairs else None,
    ]  # fmt: skip


def _shown(value: str | float) -> str:
    if isinstance(value, bool | str):
        return words.shortened(str(value), 60)
    return words.number(value)


def _segments(detail: Mapping[str, Any]) -> Html | None:
    """How challenger and champion did by segment, where the step says so."""
    rows = detail.get("segments")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        return None
    kept = [row for row in rows if isinstance(row, Mapping)][:_LISTED]
    if not kept:
        return None
    names = [name for name in kept[0] if name not in {"segment", "column", "level"}]
    told = [
        Row(_segment(row), tuple((name, _cell(row.get(name))) for name in names)) for row in kept
    ]
    heads = ["segment", *names]
    summary = f"By segment ({len(rows)})"
    return element(
        "details", element("summary", summary), table("challenger and champion", heads, told)
    )


def _segment(row: Mapping[str, Any]) -> str:
    named = row.get("segment") or " = ".join(
        str(row[key]) for key in ("column", "level") if key in row
    )
    return words.shortened(str(named), 60)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(_cell(one) for one in value)
    return words.value(value)
