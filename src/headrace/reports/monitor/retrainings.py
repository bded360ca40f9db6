"""Section on champions and retrainings: their steps, comparisons, outcomes and reasons."""

from collections.abc import Iterator, Mapping, Sequence

from headrace.monitoring.decisions.ledger import Step
from headrace.reports.monitor import charts, sentences
from headrace.reports.monitor.model import MonitorReport, Reign, RetrainingReport
from headrace.web import wording
from headrace.web.html import Html, element
from headrace.web.tables import TableRow, table

_CANDIDATE_COLUMNS = ("rows", "valid_loss")


def retrainings(report: MonitorReport) -> Html:
    """Show the champion, then every retraining with its steps, the newest first."""
    articles = [_retraining(retraining) for retraining in reversed(report.retrainings)]
    return element(
        "section",
        element("h2", "Models"),
        [_reign(reign) for reign in report.reigns[-1:]],
        element("p", "No champion yet.") if not report.reigns else None,
        element("details", element("summary", "Champions before it"),
                [_reign(reign) for reign in reversed(report.reigns[:-1])])
        if len(report.reigns) > 1 else None,
        element("h3", "Retrainings"),
        articles or element("p", "No window triggered one."),
        id="models",
    )  # fmt: skip


def _reign(reign: Reign) -> Html:
    return element("p", element("strong", element("code", reign.ref)),
                   f" champion since {wording.moment(reign.since)}: {reign.reason}")  # fmt: skip


def _retraining(retraining: RetrainingReport) -> Html:
    title = f"{retraining.window or 'By hand'}: {sentences.ending(retraining)}"
    return element(
        "article",
        element("h3", title),
        element("p", element("code", retraining.trigger_id[:12]), " ", " ".join(retraining.reasons),
                class_="small soft"),
        element("ol", [_step(step) for step in retraining.steps], class_="flow")
        if retraining.steps else None,
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
        [element("p", text) for text in _step_sentences(step)],
        _candidates(detail.get("candidates")),
        _segments(detail.get("comparison")),
    )


def _step_sentences(step: Step) -> Iterator[str]:
    """Yield sentences on the result of a step; the ledger's JSON has more details."""
    detail = step.detail
    if name := detail.get("dataset"):
        rows = detail.get("rows")
        counts = rows.items() if isinstance(rows, Mapping) else ()
        ordered = sorted(counts, key=lambda pair: -pair[1])
        listing = ", ".join(f"{split} {count:,}" for split, count in ordered)
        yield f"{name}{f': {listing} rows' if listing else ''}"
    if excluded := detail.get("withheld_rows"):
        yield f"{wording.counted(int(excluded), 'row')} of faulty windows excluded."
    if model := detail.get("model"):
        recipe = detail.get("recipe")
        yield f"{model}, {recipe}" if recipe else str(model)
    comparison = detail.get("comparison")
    if isinstance(comparison, Mapping):
        yield (
            f"{_metric(comparison)} {_cell(comparison.get('challenger'))}, the champion's "
            f"{_cell(comparison.get('champion'))}, over {_cell(comparison.get('rows'))} rows of "
            f"{_cell(comparison.get('days'))} days."
        )
    if because := detail.get("because"):
        yield wording.capital(f"{because}.".replace("..", "."))


def _candidates(candidates: object) -> Html | None:
    """Show the candidate models and their loss on the validation split."""
    if not isinstance(candidates, Sequence) or isinstance(candidates, str) or len(candidates) < 2:
        return None
    rows = [
        TableRow(
            str(candidate.get("recipe", "")),
            tuple((name, _cell(candidate.get(name))) for name in _CANDIDATE_COLUMNS),
        )
        for candidate in candidates
        if isinstance(candidate, Mapping)
    ]
    return element(
        "details",
        element("summary", f"{len(candidates)} candidates"),
        table("candidates, the chosen one first", ["recipe", *_CANDIDATE_COLUMNS], rows),
    )


def _segments(comparison: object) -> Html | None:
    """Plot the loss of challenger minus champion by segment, with simultaneous intervals."""
    segments = comparison.get("segments") if isinstance(comparison, Mapping) else None
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
        element("p", f"{_metric(comparison)} of the challenger minus the champion's: left of the "
                "line the challenger is better.", class_="soft small"),
        element("div", cards, class_="cards"),
    )  # fmt: skip


def _metric(comparison: object) -> str:
    """Return the name of the compared loss, for the beginning of a sentence."""
    metric = comparison.get("metric") if isinstance(comparison, Mapping) else None
    return wording.capital(str(metric or "log loss"))


def _cell(value: object) -> str:
    return wording.number(value) if isinstance(value, int | float) else wording.value(value)
