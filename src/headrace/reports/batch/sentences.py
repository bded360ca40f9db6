"""Sentences of a gate report as plain text: the headline, the call to act, the next events."""

from headrace.reports.batch.model import Report
from headrace.web import wording


def headline(report: Report) -> str:
    """Return the most important reason: a crash, a semantic cause, or the most severe failure."""
    failed = [result for result in report.failed if result.kind != "override"]
    causes = [r for r in failed if r.kind == "semantic" and r.status == "fail"]
    if failed and failed[0].status == "error":
        return failed[0].reason
    if causes:
        return wording.shortened(causes[0].reason.partition(": ")[0].rstrip("."), 200)
    if failed:
        return wording.shortened(wording.split_fix(failed[0].reason)[0], 200)
    return f"all {wording.counted(len(report.judgement.counted), 'check')} passed"


def call(report: Report) -> tuple[str, str]:
    """Return (call to act, explanation), such as ("Can wait", "Everything is published; ...")."""
    if report.state == "superseded":
        return "Closed", "A later delivery of this partition passed and replaced it."
    if report.closed:
        return "Closed", f"The batch was {report.state}; none of its rows is used."
    if report.is_pending:
        rows = wording.counted(report.judgement.delivered - report.judgement.repeated, "row")
        return "Needs a decision", f"Nothing of this batch is published: {rows} blocked."
    if report.state != "published":
        return "Under way", f"The batch is {wording.state(report.state)}."
    return _call_of_published(report)


def _call_of_published(report: Report) -> tuple[str, str]:
    if report.verdict in {"BLOCK", "ERROR"}:
        return "Needs a decision", "Published under earlier rules; it fails the current ones."
    if report.overrides:
        return "Decided", wording.capital(report.overrides[-1].reason)
    if report.judgement.quarantined_count:
        rows = wording.counted(report.judgement.quarantined_count, "row")
        return "Can wait", f"Published, except for {rows} in quarantine."
    if report.verdict == "WARN":
        return "Can wait", "Everything is published; look at the warning in working hours."
    return "Nothing to do", "Everything is published."


def if_nothing_is_done(report: Report) -> list[str]:
    """Return sentences on what happens if nobody acts, the most important first."""
    if report.closed:
        return [_closed(report), _standing(report)]
    if report.is_pending or report.verdict in {"BLOCK", "ERROR"}:
        return [*_while_held(report), *_next_run(report)]
    if report.judgement.quarantined_count:
        return _while_quarantined(report)
    if report.verdict == "WARN":
        return ["Nothing changes: all rows are published and in use."]
    return ["Nothing changes."]


def _closed(report: Report) -> str:
    if report.state != "superseded":
        note = f" ({report.note})" if report.note else ""
        return f"Nothing changes: its rows stay excluded and count as rejected{note}."
    return "Nothing changes: its rows are in no table; the delivery that passed is used instead."


def _standing(report: Report) -> str:
    """Return a sentence on the last good batch, which the table serves, and its age."""
    good = report.last_good
    if good is None:
        return f"Nothing of {report.table} was published before this batch."
    when = wording.ago(good.published_at, report.rendered_at)
    rows = wording.counted(good.rows, "row")
    if good.slot == report.slot:
        return (
            f"{report.table} serves the earlier delivery of {good.slot}: {rows}, published {when}."
        )
    return f"The batch before it, {good.slot}, is published: {rows}, {when}."


def _while_held(report: Report) -> list[str]:
    good, rows = report.last_good, report.judgement.delivered - report.judgement.repeated
    if report.state == "published":
        return [f"{report.table} keeps serving the rows of this batch that passed earlier rules."]
    if good is None:
        return [
            f"{report.table} stays without data: no batch before this one was published.",
            f"{wording.counted(rows, 'row')} blocked.",
        ]
    when = wording.ago(good.published_at, report.rendered_at)
    unchanged = f"{report.table} keeps serving its earlier rows, up to {good.slot}"
    if report.corrects:
        serves = f"{report.table} keeps serving the earlier delivery of {good.slot}"
        return [f"{serves}, published {when}. Its correction stays blocked."]
    return [
        f"{unchanged} (published {when}). Readers see neither bad rows nor errors.",
        f"{report.slot} stays missing: {wording.counted(rows, 'row')}. {_stale(report)}".rstrip(),
        *_unreleased(report),
    ]


def _stale(report: Report) -> str:
    features = sum(count for _, count in report.reach.views)
    if not features:
        return ""
    return f"Until it is published, older rows are used for {wording.counted(features, 'feature')}."


def _unreleased(report: Report) -> list[str]:
    names = [name for name, uses in report.reach.datasets if "its rows" in uses]
    sentence = f"A new release of {wording.listed(names)} will have no rows of {report.slot}."
    return [sentence] if names else []


def _next_run(report: Report) -> list[str]:
    if report.verdict == "ERROR":
        rerun = "The next run validates the batch again, and publishes it if it passes."
        return [f"The crash says nothing about the data. {rerun}"]
    return ["On the next run a corrected delivery of the same partition replaces it automatically."]


def _while_quarantined(report: Report) -> list[str]:
    rows = wording.counted(report.judgement.quarantined_count, "row")
    verb = "stays" if report.judgement.quarantined_count == 1 else "stay"
    until = "until they are approved or a corrected delivery contains them"
    return [
        f"{wording.counted(report.passing, 'row')} are published and in use.",
        f"{rows} {verb} in quarantine, in no table, feature or dataset, {until}.",
    ]
