"""Champions and retrainings: what was released, trained and compared, who won, and why."""

from collections.abc import Iterator, Mapping, Sequence

from headrace.monitoring.decisions.ledger import Step
from headrace.reports.monitor import charts, sentences
from headrace.reports.monitor.model import MonitorReport, Reign, Retraining
from headrace.web import wording
from headrace.web.html import Html, element
from headrace.web.tables import TableRow, table

_TRIED = ("rows", "valid_loss")


def retrainings(report: MonitorReport) -> Html:
    """The champion, then every retraining with its steps, the newest first."""
    told = [_one(retraining) for retraining in reversed(report.retrainings)]
    return element(
        "section",
        element("h2", "Models"),
        [_reign(reign) for reign in report.reigns[-1:]],
        element("p", "None in charge yet.") if not report.reigns else None,
        element("details", element("summary", "Champions before it"),
                [_reign(reign) for reign in reversed(report.reigns[:-1])])
        if len(report.reigns) > 1 else None,
        element("h3", "Retrainings"),
        told or element("p", "No window asked for one."),
        id="models",
    )  # fmt: skip


def _reign(one: Reign) -> Html:
    return element("p", element("strong", element("code", one.ref)),
                   f" in charge since {wording.moment(one.since)}: {one.reason}")  # fmt: skip


def _one(one: Retraining) -> Html:
    title = f"{one.window or 'By hand'}: {sentences.ending(one)}"
    return element(
        "article",
        element("h3", title),
        element("p", element("code", one.trigger_id[:12]), " ", " ".join(one.reasons),
                class_="small soft"),
        element("ol", [_step(step) for step in one.steps], class_="flow") if one.steps else None,
        class_="step",
    )  # fmt: skip


def _step(step: Step) -> Html:
    detail = step.detail
    took = detail.get("seconds")
    return element(
        "li",
        element("strong", sentences.STEPS.get(step.step, step.step)),
        element("span", f" {wording.moment(step.recorded_at)}", class_="soft small"),
        element("span", f", took {took:,.1f} s", class_="soft small")
        if isinstance(took, int | float)
        else None,
        [element("p", text) for text in _said(step)],
        _candidates(detail.get("candidates")),
        _segments(detail.get("comparison")),
    )


def _said(step: Step) -> Iterator[str]:
    """What the step found, in sentences; unknown details are left to the JSON of the ledger."""
    detail = step.detail
    if name := detail.get("dataset"):
        rows = detail.get("rows")
        counts = rows.items() if isinstance(rows, Mapping) else ()
        ordered = sorted(counts, key=lambda pair: -pair[1])
        told = ", ".join(f"{split} {count:,}" for split, count in ordered)
        yield f"{name}{f': {told} rows' if told else ''}"
    if held := detail.get("withheld_rows"):
        yield f"{wording.counted(int(held), 'row')} of faulty windows left out."
    if model := detail.get("model"):
        recipe = detail.get("recipe")
        yield f"{model}, {recipe}" if recipe else str(model)
    found = detail.get("comparison")
    if isinstance(found, Mapping):
        yield (
            f"Log loss {_cell(found.get('challenger'))}, the champion's "
            f"{_cell(found.get('champion'))}, over {_cell(found.get('rows'))} rows of "
            f"{_cell(found.get('days'))} days."
        )
    if because := detail.get("because"):
        yield wording.capital(f"{because}.".replace("..", "."))


def _candidates(tried: object) -> Html | None:
    """What was trained, and how it did on the part that chooses."""
    if not isinstance(tried, Sequence) or isinstance(tried, str) or len(tried) < 2:
        return None
    rows = [
        TableRow(str(one.get("recipe", "")), tuple((name, _cell(one.get(name))) for name in _TRIED))
        for one in tried
        if isinstance(one, Mapping)
    ]
    return element(
        "details",
        element("summary", f"{len(tried)} candidates"),
        table("candidates, the chosen one first", ["recipe", *_TRIED], rows),
    )


def _segments(found: object) -> Html | None:
    """Challenger minus champion by segment, with intervals that hold together."""
    segments = found.get("segments") if isinstance(found, Mapping) else None
    if not isinstance(segments, Mapping) or not any(segments.values()):
        return None
    cards = [
        element("article", element("h3", element("bdi", name)),
                charts.differences([level for level in levels if isinstance(level, Mapping)]),
                class_="card wide")
        for name, levels in segments.items()
        if levels
    ]  # fmt: skip
    return element(
        "details",
        element("summary", "By segment"),
        element("p", "Log loss of the challenger minus the champion's: left of the line the "
                "challenger is better.", class_="soft small"),
        element("div", cards, class_="cards"),
    )  # fmt: skip


def _cell(value: object) -> str:
    return wording.number(value) if isinstance(value, int | float) else wording.value(value)
