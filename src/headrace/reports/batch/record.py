"""Sections of a gate report on the origin and owner of a batch, and on its audit trail."""

from headrace.reports.batch.model import LogEntry, Report
from headrace.web import wording
from headrace.web.html import Child, Html, element, is_link, join
from headrace.web.tables import TableRow, table


def lineage(report: Report) -> Html:
    origin, rules = report.origin, report.rules
    pairs: list[tuple[str, Child]] = [
        ("Owner", element("strong", rules.owner or "none is declared")),
        ("Support", [_channel(*channel) for channel in rules.support] or "none is declared"),
        ("Producer", origin.producer),
        ("Delivered as", element("code", element("bdi", origin.origin))),
        ("Also delivered as", [element("code", element("bdi", o)) for o in origin.origins] or None),
        ("Arrived", _moment(origin.arrived_at, report)),
        ("Validated", _moment(rules.judged_at, report)),
        ("Published", _moment(report.published_at, report) if report.published_at else None),
        ("Contract", [f"version {rules.contract_version} ", _hash(rules.contract_hash)]),
        ("Suite", [f"{rules.suite} ", _hash(rules.suite_hash)]),
        ("Rules", [_hash(rules.rule_hash), "" if rules.current else " (the table has newer ones)"]),
        ("Batch", element("code", report.batch_id)),
        ("Content", [f"sha256 {origin.sha256}, {wording.counted(origin.bytes, 'byte')}"]),
        ("Stored as", element("code", f"landing/{origin.raw_path}")),
        ("State", [wording.state(report.state), f": {report.note}" if report.note else ""]),
    ]  # fmt: skip
    entries = [join([element("dt", name), element("dd", what)]) for name, what in pairs if what]
    return element(
        "section",
        element("h2", "Owner and lineage"),
        element("dl", entries, class_="pairs"),
        id="lineage",
    )


def _channel(channel: str, address: str) -> Html:
    if is_link(address):
        return join([element("a", channel, href=address), " "])
    return join([f"{channel} {address}".strip(), " "])


def _hash(digest: str) -> Html:
    return element("code", digest[:16])


def _moment(us: int, report: Report) -> str:
    return f"{wording.moment(us)}, {wording.ago(us, report.rendered_at)}"


def log(report: Report) -> Html:
    """List the actions on this batch, also refused actions, the newest first."""
    head = element("h2", "Actions on this batch")
    if not report.log:
        body = element("p", "None so far, not even a refused action.")
        return element("section", head, body, id="log")
    entries = sorted(report.log, key=lambda entry: entry.at, reverse=True)
    caption = "The audit trail, newest first. Lines are never changed or removed."
    trail = table(caption, ("when", "who did what", "why"), [_entry(entry) for entry in entries])
    return element("section", head, trail, id="log")


def _entry(entry: LogEntry) -> TableRow:
    until = f" until {wording.moment(entry.expires_at)}" if entry.expires_at else ""
    refused = None if entry.allowed else element("span", "refused", class_="chip BLOCK")
    did = join([element("strong", entry.principal), f" {entry.action}{until} ", refused])
    note = element("span", f" {entry.note}", class_="soft small") if entry.note else None
    why = join([entry.reason, note])
    return TableRow(wording.moment(entry.at), (("", [did, _scope(entry)]), ("why", why)))


def _scope(entry: LogEntry) -> Html | None:
    if entry.scope in {"", "{}"}:
        return None
    return element("span", f" {wording.scope(entry.scope)}", class_="soft small")
