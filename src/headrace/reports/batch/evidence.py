"""Evidence in a gate report: failing rows, and the history of each failed check."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from headrace.reports import charts
from headrace.reports.batch.model import FailingRow, Report, RuleHistory
from headrace.web import wording
from headrace.web.html import Html, element, join
from headrace.web.tables import TableRow, table

_ROWS = 5  # failing rows that are not collapsed


def rows(report: Report) -> Html | None:
    failing = report.rows
    if failing is None or not failing.total:
        return None
    truncated = failing.total > len(failing.rows)
    caption = f"The first {len(failing.rows)} of {failing.total:,}" if truncated else "All rows"
    shared = [element("p", "The same in all rows: ", [_cell(*pair) for pair in failing.shared])]
    first, rest = failing.rows[:_ROWS], failing.rows[_ROWS:]
    return element(
        "section",
        element("h2", "Failing rows"),
        shared if failing.shared else None,
        _table(f"{caption}, by key, with the failed checks.", first),
        element("details", element("summary", f"{len(rest)} more"), _table("The next rows.", rest))
        if rest
        else None,
        element("p", "All failing rows, with all columns and reasons:"),
        element("pre", failing.command),
        id="rows",
    )


def _table(caption: str, failing: Sequence[FailingRow]) -> Html:
    return table(caption, ("row", "checked values", "failed"), [_row(row) for row in failing])


def _row(row: FailingRow) -> TableRow:
    line = element("span", f"line {row.line}", class_="soft small cell") if row.line else None
    key = [_cell(name, value) for name, value in row.key]
    values = [_cell(name, value, bad=True) for name, value in row.values]
    checks = [join([element("span", check, class_="tag"), " "]) for check in row.checks]
    return TableRow(join([key, line]), (("", values), ("failed", checks)))


def _cell(name: str, value: Any, *, bad: bool = False) -> Html:  # noqa: ANN401 - a value of data
    cell = element("bdi", wording.value(value), class_="bad" if bad else None)
    return element("span", element("span", f"{name} ", class_="soft"), cell, class_="cell")


def history(report: Report) -> Html | None:
    """Show the results of each failed check on earlier batches, which reveals noisy checks."""
    verdict_history = report.history
    if verdict_history is None or len(verdict_history.slots) < 2:
        return None
    first, last = verdict_history.slots[0], verdict_history.slots[-1]
    batch_verdicts = RuleHistory("the batch as a whole", verdict_history.verdicts)
    return element(
        "section",
        element("h2", "Have these checks failed before?"),
        element("p", f"The last {len(verdict_history.slots)} batches, {first} to {last}; a higher "
                "mark is a more severe verdict, the underlined mark is this batch.",
                class_="soft small"),
        [_strip(rule) for rule in (*verdict_history.rules, batch_verdicts)],
        id="history",
    )  # fmt: skip


def _strip(rule: RuleHistory) -> Html:
    sentence = past(rule)
    return element(
        "div",
        element("h3", element("code", rule.check) if rule.check[:4] != "the " else rule.check),
        element("p", sentence, class_="small"),
        charts.strip(rule.verdicts, f"{rule.check}: {sentence}"),
        class_="strip",
    )


def past(rule: RuleHistory) -> str:
    """Return the history of a check as a sentence."""
    before = [v for v in rule.verdicts[:-1] if v]
    if not before:
        return "The check is new: it has not validated any earlier batch."
    bad = Counter(v for v in before if v not in {"", "PASS"})
    if not bad and rule.check.startswith("semantic:"):
        return f"Not found in the {len(before)} batches before this one."
    if not bad:
        scope = f"all {len(before)} batches" if len(before) > 1 else "the one batch"
        return f"Passed in {scope} before this one."
    counts = wording.listed(f"{count} {verdict}" for verdict, count in bad.most_common())
    streak = next((at for at, v in enumerate(reversed(before)) if v == "PASS"), len(before))
    run = f" With this batch, it has not passed {streak + 1} times in a row." if streak else ""
    return f"Of {len(before)} batches before this one: {counts}.{run}"
