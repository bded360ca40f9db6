"""Report of a monitor run in markdown: plots, and the windows that need attention."""

from collections.abc import Sequence

from headrace.monitoring.evidence.model import day_text
from headrace.monitoring.spec import MonitorRun, WindowResult
from headrace.web import svg_plots

ACTION_STYLES = {"none": "n", "watch": "w", "retrain": "p", "investigate": "r"}
HEAT_ROWS = 24
LISTED = 12


def pictures(run: MonitorRun) -> dict[str, str]:
    """Return {name: SVG}: `decisions`, `heat`; if a model was evaluated also `loss`, `ranking`.

    Predictions of numbers and classes have no `ranking`.
    """
    labels = [day_text(result.window.first) for result in run.results]
    marks = [result.decision.action for result in run.results]
    plots = {
        "decisions": svg_plots.timeline(
            "Decisions, one bar per window", marks, labels, ACTION_STYLES
        ),
        "heat": svg_plots.heat(
            "Columns: distance from earlier windows / limit",
            heat_rows(run.results),
            labels,
        ),
    }
    titles = [result.scored.title for result in run.results if result.scored]
    if titles:
        loss = [result.scored.loss if result.scored else None for result in run.results]
        ranks = [result.scored.ranking if result.scored else None for result in run.results]
        title = f"{titles[-1][0].upper()}{titles[-1][1:]} on mature labels"
        plots["loss"] = svg_plots.line(title, loss, labels)
    if titles and any(rank is not None for rank in ranks):
        plots["ranking"] = svg_plots.line("Area under the ROC curve", ranks, labels)
    return plots


def heat_rows(results: Sequence[WindowResult]) -> dict[str, list[float | None]]:
    """Return column -> ratio to its limit by window (None if not evaluated), highest first."""
    columns = sorted({column for result in results for column in result.heat})
    highest = {c: max(result.heat.get(c, 0.0) for result in results) for c in columns}
    selected = sorted(columns, key=lambda c: (-highest[c], c))[:HEAT_ROWS]
    return {c: [result.heat.get(c) for result in results] for c in selected}


def markdown(run: MonitorRun) -> str:
    """Return the report as markdown with embedded plots."""
    counts = ", ".join(f"{name} {n}" for name, n in run.counts().items() if n)
    parts = [f"**{run.name}**: {len(run.results)} windows ({counts or 'none closed yet'})."]
    if run.results:
        parts += [svg_plots.markdown(picture, name) for name, picture in pictures(run).items()]
    loud = [result for result in run.results if result.decision.action != "none"]
    if loud:
        parts.append("\n".join(["| window | action | why |", "|---|---|---|", *_rows(loud)]))
    if run.notes:
        parts.append("Not monitored: " + "; ".join(run.notes) + ".")
    return "\n\n".join(parts)


def _rows(results: Sequence[WindowResult]) -> list[str]:
    """Return the table rows, the newest windows first."""
    return [
        f"| {result.window.text} | {result.decision.action} "
        f"| {_cell(' '.join(result.decision.reasons))} |"
        for result in reversed(results[-LISTED:])
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
