"""Results of the peers as a page."""

from collections.abc import Iterable
from typing import Any

from bench.gate_bank_peers.settings import ELEMENTARY, FEW, FEWEST, GX, SODA, TFDV

Document = dict[str, Any]
INTRODUCTION = f"""\
`python -m bench.gate_bank_peers` judges other tools on the same days and injected faults as
`bench.gate_bank`, with faults in {{planted}} days of each table. Every side judges a delivery by
the 42 clean deliveries before it.

Peers get the parser for free: typed columns, and times as hours since the beginning of the day.
A delivery counts as stopped by a peer if any of its checks fails, if a cell does not parse, or if
columns are missing. Peers only pass or fail, so Headrace has two lines: what it blocks or
quarantines exactly, and the same with its warnings. *Right column* is the share of the faults in
named columns whose first result (of a peer: the check that fails by most) names an altered column;
*wrong column* names other columns only. Unlike in the section above, the kind of fault does not
count. *Ours to it* divides the faults that Headrace stops by those that the peer stops, on the same
days: against a peer that alarms on {FEW:.1%} of clean days, warnings of Headrace count as stopped;
against one that alarms on {FEWEST:.1%}, they do not. Clean days of a table count after 30 days.

- **{GX}**: a suite profiled from the window: rows, nulls, distinct values, minimum, maximum, mean,
  standard deviation, sum, five quantiles, zeros, lengths, keys, value sets, and the KL divergence
  of categories. Its figures are computed by us, because a validation takes about a second;
  `python -m bench.gate_bank_peers.real_gx` compares them with those of the tool itself. On one day
  of the table `calls`, with its faults, 7 of 672 expectations differed, all on an empty column.
- **{TFDV}** runs as it is, in an environment of its own: schema with domains, presence, ranges and
  number of rows, L-infinity norm of categories and Jensen-Shannon divergence of numbers against
  the window. The window's statistics are renewed every seven days, and every other clean day is
  judged.
- **{ELEMENTARY}**: its default monitors of columns and tables, by its formula, with 42 batches of
  training. Tuned, the batch is not part of its own training, and rows by category and dbt's tests
  (`not_null`, `unique`, `accepted_values`, range of the times) are added.
- **{SODA}** (Soda Core 3 with Prophet) reads the history of a metric from Soda Cloud; its detector
  gets it directly here. A fit takes 0.1 s for each metric and day, so it judges only the days in
  which faults are injected, and its share of false alarms rests on these few days.

The column *tables* shows on how many tables a tool was measured; *ours to it* compares it with
Headrace on the same ones. "Every row twice" differs by design: Headrace drops exact repetitions of
rows and publishes the rest, which does not count as stopped.

*Tuned* margins are chosen on the tables of the bank, so that as many faults as possible are stopped
while at most the named share of clean days alarms on tables that the choice has not seen. Either
all checks have one margin, or each kind of check has its own, whichever stops more.
"""


def report(document: Document) -> list[str]:
    """Return Markdown tables: first of the tables that were left out, then of the others."""
    lines: list[str] = []
    for left_out, title in (
        (True, "Tables that no margin was chosen on"),
        (False, "Tables on which the margins were chosen"),
    ):
        part = [peer for peer in document["peers"] if peer["left_out"] == left_out]
        if part:
            lines += [f"**{title}**", "", *_table(part), ""]
            if left_out:
                lines += ["Faults stopped, by fault:", "", *_by_fault(part), ""]
    return lines


def page(document: Document) -> str:
    """Return the section of the benchmarks page."""
    introduction = INTRODUCTION.format(planted=document["planted"])
    return "\n".join([introduction, *report(document)]).rstrip() + "\n"


def _table(part: Iterable[Document]) -> list[str]:
    head = (
        "| tool | setting | tables | batch stopped | part stopped | right column | wrong column "
        "| clean days | alarmed | ours to it |"
    )
    lines = [
        head,
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for peer in part:
        batch, some = (
            _share(scope["stopped"], scope["injected"]) for scope in peer["scopes"].values()
        )
        right, wrong = (
            _share(peer[name], peer["in_columns"]) for name in ("column_right", "column_wrong")
        )
        days = peer["clean_days"]
        alarmed = f"{peer['alarmed'] / days:.1%}" if days else "-"
        lines.append(
            f"| {peer['peer']} | {peer['setting']} | {peer['tables']} | {batch} | {some} | {right}"
            f" | {wrong} | {days} | {alarmed} | {_ratio(peer)} |"
        )
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _ratio(peer: Document) -> str:
    stopped = sum(scope["stopped"] for scope in peer["scopes"].values())
    return f"{peer['ours']['stopped'] / stopped:.2f}" if "ours" in peer and stopped else ""


def _by_fault(part: list[Document]) -> list[str]:
    """Return a table of the settings with as many false alarms as our warnings, by fault."""
    compared = [p for p in part if p.get("beside", p["setting"]) == "blocked or warned"]
    compared = [p for p in compared if p["setting"] not in _UNTUNED]
    heads = [p["peer"] for p in compared]
    faults: dict[str, str] = {
        fault: counts["scope"] for p in compared for fault, counts in p["faults"].items()
    }
    lines = [f"| fault | scope | injected | {' | '.join(heads)} |"]
    lines.append(f"| --- | --- | ---: |{' ---: |' * len(heads)}")
    for fault, scope in sorted(faults.items(), key=lambda item: item[1]):
        counts = [p["faults"].get(fault, {"injected": 0, "stopped": 0}) for p in compared]
        shares = [_share(c["stopped"], c["injected"]) for c in counts]
        injected = max(c["injected"] for c in counts)
        lines.append(f"| {fault} | {scope} | {injected} | {' | '.join(shares)} |")
    return lines


_UNTUNED = frozenset({"ranges of the window", "sensitivity 3", "as installed"})
