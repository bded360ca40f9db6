"""Section of the benchmarks page: results of the gate on the bank, as Markdown."""

from collections import Counter, defaultdict
from typing import Any

from headrace.verification.gate_bank.measure import Document
from headrace.verification.gate_bank.run import PLANTED_DAYS
from headrace.verification.gate_bank.summary import COUNTED, SHARES

Counts = dict[str, Any]
INTRODUCTION = f"""\
`headrace verify faults` (here `python -m bench.gate_bank`) validates real tables from packages day
by day, as ingestion does, with faults injected into {PLANTED_DAYS} days of each table.
The code that injects faults shares nothing with the detectors. A fault is injected wherever a table
has the columns for it, so many parts of a batch are only a few rows. The suite only demands that a
day has rows.

*Stopped* means that the batch was blocked, or that what is published is exactly the clean rows
without the altered ones: either exactly the altered rows were quarantined or, where rows were
repeated exactly, the repetitions were dropped. The *headline* is the first failed result. It is
right if it names the kind of fault in an altered column, and wrong if it names another kind, or
only unaltered columns. A result that states a fact about an altered column, such as "far from
usual", is neither. Intervals of 95% are by bootstrap over tables, since faults in one table are not
independent. Clean days count once for each of several starts of the history. They include real
outages, holidays and storms.

The figures show what to expect of a new table: no threshold was chosen on these tables. They are of
the first run on all of them. The results of the first eight (mail, tweets, polls, strikes, rodents,
sea, solar, cities) were known before, and had led to one narrower rule (that numbers in a unit a
thousand times smaller may have more decimals). What this run showed led to two narrower rules,
which are not in the figures: a new category in a single row does not count as another name, and
the share of the greatest value is not predicted. They blocked some twenty of the clean days below.
"""


def report(document: Document) -> list[str]:
    """Return Markdown tables of the tables that no threshold was chosen on."""
    names = ("faults", "clean", "totals", "sizes", "clean_totals")
    return _section({n: [entry for entry in document[n] if entry["left_out"]] for n in names})


def page(document: Document) -> str:
    """Return the section of the benchmarks page."""
    return "\n".join([INTRODUCTION, *report(document)]).rstrip() + "\n"


def _section(part: dict[str, list[Counts]]) -> list[str]:
    columns = "injected | stopped | headline right | headline wrong |"
    lines = [f"| scope | {columns}", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {total['scope']} | {_with_intervals(total)} |" for total in part["totals"]]
    lines += ["", f"| rows a day | tables | scope | {columns}"]
    lines += ["| --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {size['size']} | {len(size['sources'])} | {size['scope']} | {_with_intervals(size)} |"
        for size in part["sizes"]
    ]
    lines += ["", f"| fault | scope | {columns}", "| --- | --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {scope} | {_shares(sums)} |"
        for (name, scope), sums in _sums(part["faults"], "fault", "scope").items()
        if sums["injected"]
    ]
    lines += ["", "| table | rows a day | clean days | blocked | warned | blocked by start"]
    lines[-1] += " | injected | stopped | right | wrong |"
    lines += ["| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |"]
    by_source = _sums(part["faults"], "source")
    lines += [
        f"| {c['source']} | {c['rows_a_day']:.0f} | {c['days']} | {c['block_days']} |"
        f" {c['warn_days']} | {_starts(c)} | {_shares(by_source[c['source'],])} |"
        for c in part["clean"]
    ]
    for total in part["clean_totals"]:
        blocked, warned = (
            f"{total[name]}{_ends(total[f'{name}_interval'], 1)}"
            for name in ("block_days", "warn_days")
        )
        lines += ["", f"Clean days: {total['days']:,}, blocked: {blocked}, warned: {warned}."]
    return [
        *lines,
        "",
        "Clean days that were blocked, with any start of the history:",
        "",
        *_alarms(part),
    ]


def _alarms(part: dict[str, list[Counts]]) -> list[str]:
    """List the blocked clean days, each with its headline."""
    days = {
        (clean["source"], alarm["day"]): alarm["reason"]
        for clean in part["clean"]
        for alarm in clean["alarms"]
        if alarm["verdict"] in {"BLOCK", "ERROR"}
    }
    return [f"- {source} {day}: {reason}" for (source, day), reason in sorted(days.items())]


def _sums(faults: list[Counts], *keys: str) -> dict[tuple[str, ...], Counter[str]]:
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for count in faults:
        sums[tuple(count[key] for key in keys)].update({name: count[name] for name in COUNTED})
    return sums


def _starts(clean: Counts) -> str:
    return ", ".join(f"{start['block_days']}/{start['days']}" for start in clean["starts"])


def _shares(sums: Counts) -> str:
    injected = sums["injected"]
    shares = [f"{sums[name] / injected:.0%}" if injected else "-" for name in SHARES]
    return " | ".join([f"{injected:,}", *shares])


def _with_intervals(sums: Counts) -> str:
    injected, *shares = _shares(sums).split(" | ")
    ends = [_ends(sums[f"{name}_interval"]) for name in SHARES]
    return " | ".join([injected, *(share + end for share, end in zip(shares, ends, strict=True))])


def _ends(interval: list[float] | None, digits: int = 0) -> str:
    if interval is None:
        return ""
    low, high = (f"{end:.{digits}%}" for end in interval)
    return f" ({low} to {high})"
