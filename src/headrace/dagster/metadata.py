"""What a person reads beside an asset or a check: counts, tables of days, plots, columns."""

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
# Worst first: the order in which days are listed, and the one place that ranks them.
WORST = ("ERROR", "BLOCK", "MISSING", "QUARANTINE", "WARN", "PASS")
STOPPED = frozenset({"ERROR", "BLOCK", "FAILED"})
LISTED = 50
TOLD = 3


def shown(result: SlotResult) -> str:
    """The one word for a slot: its verdict if it was judged, else its state."""
    return str(result.verdict or result.state).upper()


def stopped(result: SlotResult) -> bool:
    """Whether the slot was delivered and is not published: somebody has to act."""
    return shown(result) in STOPPED or result.state in ("pending", "failed")


def passed(result: SlotResult) -> bool:
    return shown(result) in ("PASS", "NOT_EXPECTED")


def counted(results: Sequence[SlotResult]) -> str:
    """How many slots got which verdict, worst first: `1 BLOCK, 364 PASS`."""
    words = Counter(shown(result) for result in results)
    return ", ".join(f"{words[word]} {word}" for word in sorted(words, key=lambda w: (_rank(w), w)))


def slot_metadata(result: SlotResult) -> dict[str, Any]:
    """For the materialisation of one slot: few and small, since the event log keeps every one."""
    found: dict[str, Any] = {
        "dagster/partition_row_count": result.published,
        "delivered": result.delivered,
        "quarantined": result.quarantined,
        "verdict": shown(result),
    }
    if result.repeated:
        found["repeated"] = result.repeated
    if link := report_link(result):
        found["report"] = dg.MetadataValue.url(link)
    return found


def slot_report(result: SlotResult) -> dict[str, Any]:
    """For the check of one slot: why, in words and in numbers, and where to go from there."""
    return {
        "day": result.slot,
        "verdict": shown(result),
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
    """The named cause, the report, where to decide, and every check that did not pass."""
    found: dict[str, Any] = {}
    if cause := findings.cause_of(result):
        found["cause"] = cause
    if link := report_link(result):
        found["report"] = dg.MetadataValue.url(link)
        found["decide"] = dg.MetadataValue.url(decide_link(result))
    if result.judgement:
        found["checks"] = dg.MetadataValue.md(findings.found(result.judgement))
    return found


def run_report(results: Sequence[SlotResult], status: Mapping[str, Any]) -> dict[str, Any]:
    """For the check of a table: this run's days, and where the table stands as a whole.

    The UI hides markdown behind a link, so all of it is in one place, and plots the numbers.
    """
    plot = day_plot(results, "rows delivered per day")
    parts = [plot, day_table(results), "#### The whole table", status_table(status)]
    return {
        "day": _span(results),
        "report": dg.MetadataValue.md("\n\n".join(parts)),
        "delivered": sum(result.delivered for result in results),
        "published": sum(result.published for result in results),
        "quarantined": sum(result.quarantined for result in results),
        "pending": sum(result.pending for result in results),
    }


def _span(results: Sequence[SlotResult]) -> str:
    """The day, or the first and the last of several."""
    slots = sorted(result.slot for result in results)
    return " to ".join(dict.fromkeys([*slots[:1], *slots[-1:]]))


def summary(results: Sequence[SlotResult]) -> str:
    """In one paragraph: how many of each, and why for the worst."""
    notable = sorted((r for r in results if not passed(r)), key=lambda r: _rank(shown(r)))
    told = [f"{r.slot} {_told(r)}: {'; '.join(r.reasons)}" for r in notable[:TOLD]]
    return ". ".join([counted(results), *told])


def _told(result: SlotResult) -> str:
    """The verdict and its cause: `BLOCK (unit change in distance)`."""
    cause = findings.cause_of(result)
    return f"{shown(result)} ({cause})" if cause else shown(result)


def day_table(results: Sequence[SlotResult]) -> str:
    """The days that did not pass, worst first; one line says it when all did."""
    notable = [result for result in results if not passed(result)]
    if not notable:
        return f"All {len(results):,} passed."
    notable.sort(key=lambda result: (_rank(shown(result)), result.slot))
    rows = [
        (
            _linked(r),
            _told(r),
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
    more = len(notable) - LISTED
    return f"{text}\n\nand {more:,} more" if more > 0 else text


def _linked(result: SlotResult) -> str:
    """The day, which leads to its report."""
    link = report_link(result)
    return f"[{result.slot}]({link})" if link else result.slot


def status_table(status: Mapping[str, Any]) -> str:
    """`headrace.lake.ledger.conservation.table_status` as two columns."""
    rows = [(key, _plain(value)) for key, value in status.items() if key != "table"]
    return table(("", str(status.get("table", ""))), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; cells may hold anything."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def column_schema(contract: Contract) -> dg.TableSchema:
    """The columns of a published table, with unit, zone and meaning in words."""
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
    """Plain values as Dagster metadata: `{"md": text}` is markdown, `{"url": address}` a link.

    `{"columns": ...}` is a schema.
    """
    return {key: _value(value) for key, value in values.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever Dagster takes
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
