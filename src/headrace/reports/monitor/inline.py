"""A run of the monitor for people: what needs a look, in sentences, and two plots."""

from collections.abc import Sequence

from headrace.monitoring.evidence.model import day_text
from headrace.monitoring.spec import MonitorRun, WindowResult
from headrace.web import svg_plots

ACTION_STYLES = {"none": "n", "watch": "w", "retrain": "p", "investigate": "r"}
HEAT_ROWS = 24
LISTED = 12


def pictures(run: MonitorRun) -> dict[str, str]:
    """{name: SVG}: `decisions` and `heat`, and `loss` and `ranking` where the model was judged."""
    labels = [day_text(one.window.first) for one in run.results]
    marks = [one.decision.action for one in run.results]
    found = {
        "decisions": svg_plots.timeline(
            "Decisions, one window a bar", marks, labels, ACTION_STYLES
        ),
        "heat": svg_plots.heat(
            "Columns: distance from their past / limit",
            heat_rows(run.results),
            labels,
        ),
    }
    if any(one.scored for one in run.results):
        loss = [one.scored.loss if one.scored else None for one in run.results]
        ranks = [one.scored.ranking if one.scored else None for one in run.results]
        found["loss"] = svg_plots.line("Log loss on labels that were mature", loss, labels)
        found["ranking"] = svg_plots.line("Area under the ROC curve", ranks, labels)
    return found


def heat_rows(results: Sequence[WindowResult]) -> dict[str, list[float | None]]:
    """The columns that came nearest to their limits, the nearest first; None where not judged."""
    columns = sorted({column for one in results for column in one.heat})
    highest = {c: max(one.heat.get(c, 0.0) for one in results) for c in columns}
    chosen = sorted(columns, key=lambda c: (-highest[c], c))[:HEAT_ROWS]
    return {c: [one.heat.get(c) for one in results] for c in chosen}


def markdown(run: MonitorRun) -> str:
    """The whole report as markdown; its plots are inside, as data."""
    counts = ", ".join(f"{name} {n}" for name, n in run.counts().items() if n)
    parts = [f"**{run.name}**: {len(run.results)} windows ({counts or 'none closed yet'})."]
    if run.results:
        parts += [svg_plots.markdown(picture, name) for name, picture in pictures(run).items()]
    loud = [one for one in run.results if one.decision.action != "none"]
    if loud:
        parts.append("\n".join(["| window | action | why |", "|---|---|---|", *_rows(loud)]))
    if run.notes:
        parts.append("Not watched: " + "; ".join(run.notes) + ".")
    return "\n\n".join(parts)


def _rows(results: Sequence[WindowResult]) -> list[str]:
    """The newest windows first."""
    return [
        f"| {one.window.text} | {one.decision.action} | {_cell(' '.join(one.decision.reasons))} |"
        for one in reversed(results[-LISTED:])
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
