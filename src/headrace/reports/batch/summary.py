"""Top of a gate report: verdict, downstream impact, reasons, and effect of not acting."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headrace.gates.verdict import Result
from headrace.reports.batch import sentences
from headrace.reports.batch.model import Reach, Report
from headrace.web import wording
from headrace.web.html import Html, element, join

# Function from a batch id of the same table to the URL of its page; "" if there is none.
Page = Callable[[str], str]
_OPEN = 8  # failed checks that are not collapsed


def chip(verdict: str) -> Html:
    return element("span", verdict, class_=f"chip {verdict}")


def top(report: Report, page: Page) -> Html:
    """Show table, partition, verdict, the main reason as heading, and the call to act."""
    todo, because = sentences.call(report)
    return element(
        "header",
        element("p", element("strong", report.table), element("span", report.slot, class_="mono"),
                chip(report.verdict), class_="where"),
        element("h1", wording.capital(sentences.headline(report))),
        element("p", element("strong", f"{todo}."), f" {because} ", _instead(report, page),
                class_="call"),
        _decided(report),
        _sums(report),
        class_=f"top {tone(report)}",
    )  # fmt: skip


def _instead(report: Report, page: Page) -> Html | None:
    """Link to the batch that superseded this one."""
    if not report.successor:
        return None
    name = element("code", report.successor[:12])
    address = page(report.successor)
    return element("a", "It is ", name, href=address) if address else join(["It is ", name])


def _decided(report: Report) -> Html | None:
    """Show the latest action on the batch, which confirms a button that was just pressed."""
    if not report.log:
        return None
    entry = max(report.log, key=lambda entry: entry.at)
    what = f"{entry.action} by {entry.principal}"
    refused = "" if entry.allowed else f", refused: {entry.note}"
    return element(
        "p",
        element("strong", "Latest action: "),
        f"{what}, {wording.ago(entry.at, report.rendered_at)}{refused}. {entry.reason}",
        class_="decided",
    )


def tone(report: Report) -> str:
    """Return the colour class: the verdict, unless the batch is closed."""
    return "NONE" if report.closed else report.verdict


def _sums(report: Report) -> Html:
    judgement = report.judgement
    rows = judgement.delivered - judgement.repeated
    pending_rows = rows if report.is_pending else 0
    published = report.passing if report.state == "published" else 0
    figures: list[tuple[str, object]] = [("rows delivered", rows)]
    if pending_rows:
        figures.append(("rows blocked", pending_rows))
    else:
        figures.append(("rows published", published))
    if judgement.quarantined_count:
        figures.append(
            (
                "rows that fail a check" if report.is_pending else "rows quarantined",
                judgement.quarantined_count,
            )
        )
    if judgement.violation_count:
        figures.append(("contract violations", judgement.violation_count))
    figures.append(("checks not passed", f"{len(judgement.failed)} of {len(judgement.counted)}"))
    return element("dl", [_sum(name, value) for name, value in figures], class_="sum")


def _sum(name: str, value: object) -> Html:
    text = wording.number(value) if isinstance(value, int) else str(value)
    return element("div", element("dt", name), element("dd", text))


def reach(report: Report) -> Html:
    """Show everything downstream by stage, and the releases that already contain the batch."""
    to = report.reach
    stages = [stage for stage in _stages(report, to) if stage]
    return element(
        "section",
        element("h2", "Downstream"),
        element("p", _reach_said(report)),
        element("ol", [element("li", stage) for stage in stages], class_=f"flow {tone(report)}"),
        _holding(report),
        id="reach",
    )


def _reach_said(report: Report) -> str:
    if report.is_pending:
        return "The batch is blocked: nothing below reads its rows."
    if report.state == "recalled":
        return "It was published and is recalled: everything that has read it is marked."
    if report.closed:
        return "Nothing below has read a row of this batch, and nothing will."
    if report.judgement.quarantined_count:
        return "Everything below reads the rows that passed, and none of the quarantined ones."
    return "Everything below may read this batch."


def _stages(report: Report, to: Reach) -> Iterator[Html | None]:
    yield join([element("strong", "Table "), _tag(to.table), _state(report)])
    features = sum(count for _, count in to.views)
    if to.views:
        title = f"{wording.counted(len(to.views), 'feature view')}, "
        title += wording.counted(features, "feature")
        tags = [_tag(name) for name, _ in to.views]
        yield join([element("strong", title), element("br"), *tags])
    if to.datasets:
        yield join([
            element("strong", "Dataset "),
            *(join([_tag(name), element("span", f" {uses}", class_="soft small")])
              for name, uses in to.datasets),
        ])  # fmt: skip
    if to.models:
        yield join([element("strong", "Model "), *map(_tag, to.models)])
    if to.consumers:
        heading = element("strong", "Consumers named in the contract ")
        yield join([heading, *map(_tag, to.consumers)])


def _tag(name: str) -> Html:
    return join([element("span", name, class_="tag"), " "])


def _state(report: Report) -> Html:
    return element("span", f" {report.slot}: {wording.state(report.state)}", class_="soft small")


def _holding(report: Report) -> Html | None:
    """Name the releases that contain rows of this batch; releases are immutable and keep them."""
    released, trained = report.reach.released, report.reach.trained
    if not released:
        return None
    sentence = f"Rows of this batch are in {wording.listed(released)}"
    if trained:
        sentence += f", which {wording.listed(trained)} was trained on"
    return element("p", f"{sentence}.")


def why(report: Report) -> Html:
    """Show overrides, then every check that did not pass, most severe first."""
    # Overrides by people come before the results of the gate.
    failed = sorted(report.failed, key=lambda r: r.kind != "override")
    exempted = report.judgement.exempted
    shadows = [result for result in report.judgement.shadowed if not result.decision]
    head = element("h2", "Why")
    if not failed:
        passed = wording.counted(len(report.judgement.counted), "check")
        body = [element("p", f"Nothing failed: {passed} passed.")]
    else:
        body = [_check(r, first=not at) for at, r in enumerate(failed[:_OPEN])]
        if failed[_OPEN:]:
            rest = [_check(r) for r in failed[_OPEN:]]
            title = f"{wording.counted(len(rest), 'more check')} not passed"
            body.append(element("details", element("summary", title), rest))
    if exempted:
        body.append(element("p", _exempted(len(exempted))))
        body += [_check(result) for result in exempted]
    if shadows:
        title = f"{wording.counted(len(shadows), 'shadow check')} would not have passed"
        shadow_checks = [_check(r) for r in shadows]
        body.append(element("details", element("summary", title), shadow_checks))
    body += [
        element("p", f"Note: {note.reason}.", class_="soft") for note in report.judgement.notes
    ]
    return element("section", head, body, id="why")


def _exempted(count: int) -> str:
    do, of = ("does", "it") if count == 1 else ("do", "them")
    return f"{wording.counted(count, 'finding')} {do} not count, because a person decided on {of}:"


def _check(result: Result, *, first: bool = False) -> Html:
    evidence: Mapping[str, Any] = result.evidence or {}
    spelled = result.id if result.kind != "semantic" else result.type.replace("_", " ")
    reason, fix = wording.split_fix(result.reason)
    return element(
        "div",
        element("p", _kind(result), " ", element("code", spelled)),
        element("p", wording.capital(reason), class_="first" if first else None),
        element("p", wording.capital(fix)) if fix else None,
        _expected(result) if result.kind != "override" else None,
        _evidence(evidence) if evidence else None,
        class_="check",
    )


def _kind(result: Result) -> Html:
    verdict = result.would.value
    if result.kind == "override":
        return element("span", result.type, class_="chip NONE")
    if result.decision:
        return element("span", result.note.partition(" ")[0], class_="chip NONE")
    label = f"would {verdict}" if result.shadow else verdict
    return element("span", label, class_=f"chip {verdict}")


def _expected(result: Result) -> Html | None:
    """Show the expectation and its note, unless the reason contains them."""
    parts = []
    if result.expected and result.expected not in result.reason:
        parts.append(f"Expected: {result.expected}.")
    if result.note and result.note not in result.reason:
        parts.append(f"{wording.capital(result.note).rstrip('.')}.")
    return element("p", " ".join(parts), class_="soft small") if parts else None


def _evidence(evidence: Mapping[str, Any]) -> Html:
    """Show the evidence as one line of name and value pairs."""
    pairs = [(name.replace("_", " "), wording.value(value)) for name, value in evidence.items()]
    cells = [
        element("span", element("span", f"{name} ", class_="soft"), value, class_="cell")
        for name, value in pairs
    ]
    return element("p", cells, class_="small")


def inaction(report: Report) -> Html:
    entries = [element("li", sentence) for sentence in sentences.if_nothing_is_done(report)]
    return element(
        "section", element("h2", "If nothing is done"), element("ul", entries), id="nothing"
    )
