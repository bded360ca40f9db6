"""Metadata of assets and checks: counts, tables of days, plots, columns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from headrace.contracts.model import Contract, Field
from headrace.dagster.checks import findings
from headrace.dagster.checks.day_plot import day_plot
from headrace.dagster.links import decide_link, report_link
from headrace.lake.ledger.partition_state import SlotResult

PUBLISHED = "published"
# Order in which days are listed: worst verdict first.
WORST = ("ERROR", "BLOCK", "MISSING", "QUARANTINE", "WARN", "PASS")
STOPPED = frozenset({"ERROR", "BLOCK", "FAILED"})
LISTED = 50
EXPLAINED = 3


def status_word(result: SlotResult) -> str:
    """Return the status of a partition: its verdict if it was validated, else its state."""
    return str(result.verdict or result.state).upper()


def stopped(result: SlotResult) -> bool:
    """Return True if the partition was delivered but not published, so that a person must act."""
    return status_word(result) in STOPPED or result.state in ("pending", "failed")


def passed(result: SlotResult) -> bool:
    return status_word(result) in ("PASS", "NOT_EXPECTED")


def counted(results: Sequence[SlotResult]) -> str:
    """Count the partitions by verdict, worst first: `1 BLOCK, 364 PASS`."""
    words = Counter(status_word(result) for result in results)
    return ", ".join(f"{words[word]} {word}" for word in sorted(words, key=lambda w: (_rank(w), w)))


def slot_metadata(result: SlotResult) -> dict[str, Any]:
    """Metadata of one partition's materialisation; small, since the event log keeps all of them."""
    entries: dict[str, Any] = {
        "dagster/partition_row_count": result.published,
        "delivered": result.delivered,
        "quarantined": result.quarantined,
        "verdict": status_word(result),
    }
    if result.repeated:
        entries["repeated"] = result.repeated
    if link := report_link(result):
        entries["report"] = dg.MetadataValue.url(link)
    return entries


def slot_report(result: SlotResult) -> dict[str, Any]:
    """Metadata of a check evaluation of one partition: row counts, reasons and links."""
    return {
        "day": result.slot,
        "verdict": status_word(result),
        **_guide(result),
        "delivered": result.delivered,
        "published": result.published,
        "quarantined": result.quarantined,
        "pending": result.pending,
        "reasons": dg.MetadataValue.md(
            "\n".join(f"- {reason}" for reason in result.reasons) or "none given"
        ),
    }


def _guide(result: SlotResult) -> dict[str, Any]:
    """Metadata that helps to decide: named cause, report, decision form, failed checks."""
    entries: dict[str, Any] = {}
    if cause := findings.cause_of(result):
        entries["cause"] = cause
    if link := report_link(result):
        entries["report"] = dg.MetadataValue.url(link)
        entries["decide"] = dg.MetadataValue.url(decide_link(result))
    if decisions := findings.decisions_of([result]):
        entries["not counted"] = decisions
    if result.judgement:
        entries["checks"] = dg.MetadataValue.md(findings.findings_markdown(result.judgement))
    return entries


def run_report(results: Sequence[SlotResult], status: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a table's check: the days of this run, and the status of the whole table.

    The UI hides markdown behind a link, so one entry has all markdown. The UI plots the numbers.
    """
    plot = day_plot(results, "rows delivered per day")
    parts = [plot, day_table(results), "#### The whole table", status_table(status)]
    decisions = findings.decisions_of(results)
    return {
        "day": _span(results),
        **({"not counted": decisions} if decisions else {}),
        "report": dg.MetadataValue.md("\n\n".join(parts)),
        "delivered": sum(result.delivered for result in results),
        "published": sum(result.published for result in results),
        "quarantined": sum(result.quarantined for result in results),
        "pending": sum(result.pending for result in results),
    }


def _span(results: Sequence[SlotResult]) -> str:
    """Return the day, or "first to last" if there are several."""
    slots = sorted(result.slot for result in results)
    return " to ".join(dict.fromkeys([*slots[:1], *slots[-1:]]))


def summary(results: Sequence[SlotResult]) -> str:
    """Summarise results: counts by verdict, and the reasons of the worst days."""
    notable = sorted((r for r in results if not passed(r)), key=lambda r: _rank(status_word(r)))
    explanations = [
        f"{r.slot} {_verdict_text(r)}: {'; '.join(r.reasons)}" for r in notable[:EXPLAINED]
    ]
    return ". ".join([counted(results), *explanations])


def _verdict_text(result: SlotResult) -> str:
    """Return the verdict with its cause, if there is one: `BLOCK (unit change in distance)`."""
    cause = findings.cause_of(result)
    return f"{status_word(result)} ({cause})" if cause else status_word(result)


def day_table(results: Sequence[SlotResult]) -> str:
    """Return a table of the days that did not pass, worst first; one line if all passed."""
    notable = [result for result in results if not passed(result)]
    if not notable:
        return f"All {len(results):,} passed."
    notable.sort(key=lambda result: (_rank(status_word(result)), result.slot))
    rows = [
        (
            _linked(r),
            _verdict_text(r),
            f"{r.delivered:,}",
            f"{r.published:,}",
            f"{r.quarantined:,}",
            f"{r.pending:,}",
            "; ".join(r.reasons),
        )
        for r in notable[:LISTED]
    ]
    text = table(
        ("day", "verdict", "delivered", "published", "quarantined", "pending", "why"), rows
    )
    unlisted = len(notable) - LISTED
    return f"{text}\n\nand {unlisted:,} more" if unlisted > 0 else text


def _linked(result: SlotResult) -> str:
    """Return the day as a link to its report."""
    link = report_link(result)
    return f"[{result.slot}]({link})" if link else result.slot


def status_table(status: Mapping[str, Any]) -> str:
    """Render `headrace.lake.ledger.conservation.table_status` as a markdown table."""
    rows = [(key, _plain(value)) for key, value in status.items() if key != "table"]
    return table(("", str(status.get("table", ""))), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a markdown table; special characters in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def column_schema(contract: Contract) -> dg.TableSchema:
    """Return the columns of a published table, with unit, zone and meaning in words."""
    columns = [
        dg.TableColumn(
            name=field.name,
            type=str(field.type),
            description=_described(field),
            constraints=dg.TableColumnConstraints(nullable=not field.required),
        )
        for field in contract.fields
    ]
    return dg.TableSchema(columns=columns)


def built(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert plain values to Dagster metadata.

    `{"md": text}` is markdown, `{"url": address}` a link, `{"columns": ...}` a schema.
    """
    return {key: _value(value) for key, value in values.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - any metadata value of Dagster
    if isinstance(value, Mapping) and "md" in value:
        return dg.MetadataValue.md(str(value["md"]))
    if isinstance(value, Mapping) and "url" in value:
        return dg.MetadataValue.url(str(value["url"]))
    if isinstance(value, Mapping) and "columns" in value:
        return dg.TableSchema(
            columns=[
                dg.TableColumn(name=name, type=kind, description=meaning)
                for name, kind, meaning in value["columns"]
            ]
        )
    return value


def _described(field: Field) -> str:
    parts = [field.description.rstrip(".")]
    parts += [
        f"{name} {value}"
        for name in ("unit", "zone", "scale")
        if (value := getattr(field, name)) is not None
    ]
    return ". ".join(part for part in parts if part)


def _rank(word: str) -> int:
    return WORST.index(word) if word in WORST else len(WORST)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {word}" for word, count in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value[:10])) + (
            f" and {len(value) - 10} more" if len(value) > 10 else ""
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
