"""The gate's findings in one batch, for the metadata of a check: cause, failed checks, plot."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from headrace.alerts.headline_cause import headline_cause
from headrace.gates import Result
from headrace.lake.ledger.partition_state import SlotResult
from headrace.web.svg_plots import markdown, svg

LISTED, DRAWN = 20, 8
WIDTH, ROW, TOP, LABEL_WIDTH = 720, 20, 30, 300
# CSS classes of `headrace.web.svg_plots`; the verdict is also written beside each bar.
_CLASS = {"WARN": "w", "QUARANTINE": "w", "BLOCK": "r", "ERROR": "p"}


def cause_of(result: SlotResult) -> str:
    """Return the most likely cause in words; "" if none was found or nothing was validated."""
    if not result.judgement or result.verdict == "PASS":
        return ""
    return headline_cause(result.judgement, result.verdict).words


def decisions_of(results: Sequence[SlotResult]) -> str:
    """Return the findings that do not count, each with the decision of a person; "" if none."""
    return "; ".join(
        f"{result.slot} {check['id']}: {check['note']}"
        for result in results
        for check in (result.judgement or {}).get("results", ())
        if check.get("decision")
    )


def findings_markdown(document: Mapping[str, Any]) -> str:
    """Render the checks that did not pass as plot and table in markdown, most severe first."""
    results = [Result.of(check) for check in document.get("results", ())]
    failed = sorted((r for r in results if r.status != "pass"), key=_order)
    if not failed:
        return f"All {len(results)} checks passed."
    rows = [
        f"| {_cell(r.id)} | {_verdict_text(r)} | {r.severity} | {_cell(_why(r))} | {_number(r)} |"
        for r in failed[:LISTED]
    ]
    lines = ["| check | does | severity | why | rows |", "|---|---|---|---|---:|", *rows]
    if len(failed) > LISTED:
        lines += ["", f"and {len(failed) - LISTED} more"]
    lines += ["", f"{len(results) - len(failed)} of {len(results)} checks passed."]
    return "\n\n".join(filter(None, [check_plot(failed), "\n".join(lines)]))


def check_plot(failed: Sequence[Result]) -> str:
    """Plot the share of failing rows of each check as bars; "" if no check counts rows."""
    drawn = [r for r in failed if r.unexpected_count and r.element_count][:DRAWN]
    if not drawn:
        return ""
    height = TOP + ROW * len(drawn) + 8
    bars = [_bar(TOP + n * ROW, result) for n, result in enumerate(drawn)]
    title = "rows that fail each check"
    return markdown(svg(WIDTH, height, title, bars), title)


def _bar(y: float, result: Result) -> str:
    share = min(1.0, (result.unexpected_count or 0) / (result.element_count or 1))
    counts = f"{result.unexpected_count:,} of {result.element_count:,}"
    room = WIDTH - LABEL_WIDTH - 150
    return (
        f'<text class="t" x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">'
        f"{escape(result.id[:44])}</text>"
        f'<rect class="{_CLASS.get(result.verdict, "n")}" x="{LABEL_WIDTH}" y="{y + 3}" '
        f'width="{max(share * room, 1):.1f}" height="{ROW - 6}"/>'
        f'<text class="t" x="{LABEL_WIDTH + max(share * room, 1) + 6:.1f}" y="{y + 13}">'
        f"{escape(counts)} {result.verdict}</text>"
    )


def _order(result: Result) -> tuple[int, bool]:
    """Sort key: most severe first; at the same severity, semantic checks first."""
    return (-result.verdict.gravity, result.kind != "semantic")


def _verdict_text(result: Result) -> str:
    if result.decision:
        return f"{result.verdict} ({result.note.partition(' ')[0]})"  # accepted or muted
    return f"{result.verdict} (shadow)" if result.shadow else str(result.verdict)


def _why(result: Result) -> str:
    return f"{result.reason} ({result.note})" if result.decision else result.reason


def _number(result: Result) -> str:
    return "" if result.unexpected_count is None else f"{result.unexpected_count:,}"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
