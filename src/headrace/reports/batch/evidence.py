"""The evidence: failing rows, and each failed check's past."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from headrace.reports import charts
from headrace.reports.batch.model import FailingRow, Report, RuleHistory
from headrace.web import wording
from headrace.web.html import Html, element, join
from headrace.web.tables import TableRow, table

_ROWS = 5  # failing rows that are shown at once


def rows(report: Report) -> Html | None:
    found = report.rows
    if found is None or not found.total:
        return None
    more = found.total > len(found.rows)
    shown = f"The first {len(found.rows)} of {found.total:,}" if more else "All of them"
    shared = [element("p", "All of them: ", [_cell(*pair) for pair in found.shared])]
    first, rest = found.rows[:_ROWS], found.rows[_ROWS:]
    return element(
        "section",
        element("h2", "Failing rows"),
        shared if found.shared else None,
        _table(f"{shown}, by key, with the checks they failed.", first),
        element("details", element("summary", f"{len(rest)} more"), _table("The next ones.", rest))
        if rest
        else None,
        element("p", "All of them, whole, with their reasons:"),
        element("pre", found.command),
        id="rows",
    )


def _table(caption: str, found: Sequence[FailingRow]) -> Html:
    return table(caption, ("row", "values looked at", "failed"), [_row(row) for row in found])


def _row(row: FailingRow) -> TableRow:
    line = element("span", f"line {row.line}", class_="soft small cell") if row.line else None
    key = [_cell(name, value) for name, value in row.key]
    values = [_cell(name, value, bad=True) for name, value in row.values]
    checks = [join([element("span", check, class_="tag"), " "]) for check in row.checks]
    return TableRow(join([key, line]), (("", values), ("failed", checks)))


def _cell(name: str, value: Any, *, bad: bool = False) -> Html:  # noqa: ANN401 - a value of data
    shown = element("bdi", wording.value(value), class_="bad" if bad else None)
    return element("span", element("span", f"{name} ", class_="soft"), shown, class_="cell")


def history(report: Report) -> Html | None:
    """What each failed check said of the batches before: is this new, or does it cry often?"""
    found = report.history
    if found is None or len(found.slots) < 2:
        return None
    first, last = found.slots[0], found.slots[-1]
    whole = RuleHistory("the batch as a whole", found.whole)
    return element(
        "section",
        element("h2", "Have these checks failed before?"),
        element("p", f"The last {len(found.slots)} batches, {first} to {last}; a higher mark is a"
                " graver verdict, the underlined one is this batch.", class_="soft small"),
        [_strip(rule) for rule in (*found.rules, whole)],
        id="history",
    )  # fmt: skip


def _strip(rule: RuleHistory) -> Html:
    said = past(rule)
    return element(
        "div",
        element("h3", element("code", rule.check) if rule.check[:4] != "the " else rule.check),
        element("p", said, class_="small"),
        charts.strip(rule.verdicts, f"{rule.check}: {said}"),
        class_="strip",
    )


def past(rule: RuleHistory) -> str:
    """In words, so that nobody has to count marks."""
    before = [v for v in rule.verdicts[:-1] if v]
    if not before:
        return "It is new: no batch before this one was judged by it."
    bad = Counter(v for v in before if v not in {"", "PASS"})
    if not bad and rule.check.startswith("semantic:"):
        return f"Not seen in the {len(before)} batches before this one."
    if not bad:
        every = f"all {len(before)} batches" if len(before) > 1 else "the one batch"
        return f"Passed in {every} before this one."
    told = wording.listed(f"{count} {verdict}" for verdict, count in bad.most_common())
    streak = next((at for at, v in enumerate(reversed(before)) if v == "PASS"), len(before))
    run = f" It has not passed {streak + 1} times in a row now." if streak else ""
    return f"Of {len(before)} batches before this one: {told}.{run}"
