"""Results of the peers as a page."""

import re
import textwrap
from collections.abc import Iterable
from typing import Any

from bench.gate_bank_peers.settings import ELEMENTARY, FEW, GX, SODA, TFDV
from headrace.verification.gate_bank.untuned_tables import UNTUNED

Document = dict[str, Any]
INTRODUCTION = f"""\
`python -m bench.gate_bank_peers` judges other tools on the same days and injected faults as
`bench.gate_bank`, with faults in {{planted}} days of each table. Every side judges a delivery by
the 42 clean deliveries before it. Clean days of a table count after 30 days.

Tables that no threshold of Headrace was chosen on: {{tables}}.{{missing}}

Peers get the parser for free: typed columns, and times as hours since the beginning of the day.
A delivery counts as stopped by a peer if any of its checks fails, if a cell does not parse, or if
columns are missing. Peers only pass or fail, so Headrace has two lines: what it blocks or
quarantines exactly, and the same with its warnings. *Right column* is the share of the faults in
named columns whose first result (of a peer: the check that fails by most) names an altered column;
*wrong column* names other columns only. Unlike in the section above, the kind of fault does not
count.

- **{GX}** (our implementation): a suite profiled from the window: rows, nulls, distinct values,
  minimum, maximum, mean, standard deviation, sum, five quantiles, zeros, lengths, keys, value sets,
  and the KL divergence of categories. Its figures are computed by us, because a validation takes
  about a second. `python -m bench.gate_bank_peers.real_gx` compares them with those of the tool
  itself. This was done for one day only, of the table `calls`, with its faults: 7 of 672
  expectations differed, all on an empty column.
- **{ELEMENTARY}** (our implementation): its default monitors of columns and tables, by its formula,
  with 42 batches of training. Tuned, the batch is not part of its own training, and rows by
  category and dbt's tests (`not_null`, `unique`, `accepted_values`, range of the times) are added.
  Elementary itself was not run.
- **{TFDV}** is the tool itself, in an environment of its own: schema with domains, presence, ranges
  and number of rows, L-infinity norm of categories and Jensen-Shannon divergence of numbers against
  the window. The window's statistics are renewed every seven days, and every other clean day is
  judged. How far a distance is beyond those of the window is computed by us.

Headrace validated the deliveries again after the gate had changed; the peers' scores are of the
same deliveries. "Every row twice" counts as stopped for Headrace too if it drops the repetitions
and publishes exactly the clean rows.
"""
_EQUAL = """\
Tools with different numbers of false alarms cannot be compared, so the margins of each peer are
scaled until as many clean days alarm as for Headrace; where no factor gives that number, slightly
more days alarm. The margins before scaling are chosen on tables that the thresholds of Headrace
were chosen on ({bank}): one margin for all checks, or one for each kind of check under which at
most the named share of clean days of those tables alarms. The factor, and whichever of these stops
most, are chosen on the clean days and faults of the left-out tables themselves. Both are in the
peers' favour: with a new table nobody knows the factor. The last three columns are Headrace on the
clean days and faults of that line."""
_EARLIER = """\
When peers were first measured on eight tables (mail, tweets, polls, strikes, rodents, sea, solar,
cities), before later changes of the gate and without counting dropped repetitions, Headrace stopped
73% of faults in a batch and 53% of those in a part with alarms on 2.8% of the clean days, and 72%
and 51% with 0.7%. Peers with margins chosen as above and as many alarms stopped, at 2.8% and 0.7%:
Great Expectations 80% and 60%, 68% and 43%; z-scores as in Elementary 74% and 50%, 62% and 39%;
TensorFlow Data Validation (at 3.3% and 1.0% of its clean days) 63% and 21%, 43% and 5%. Results on
these tables were known when the gate was changed, so the lines of Headrace below are no longer of
tables that its developers had not seen."""
_AS_CHOSEN = f"""\
Under settings that use nothing of these tables, false alarms differ, so that lines cannot be
compared with each other. *Tuned* margins are chosen on the other tables, so that as many faults as
possible are stopped while at most {FEW:.1%} of clean days alarm on tables that the choice has not
seen."""


def report(document: Document) -> list[str]:
    """Return Markdown tables of the tables that no threshold was chosen on."""
    part = [peer for peer in document["peers"] if peer["left_out"] and peer["peer"] != SODA]
    equal = document["equal_alarms"]
    lines: list[str] = []
    if equal:
        chosen = {peer["peer"]: peer["chosen_on"] for peer in equal}
        counts = ", ".join(f"{peer}: {tables} tables" for peer, tables in chosen.items())
        intro = _EQUAL.format(bank=counts)
        lines += ["**At equal false alarms**", "", _filled(intro), "", _filled(_EARLIER), ""]
        lines += [*_equal_table(equal), ""]
        beside = [peer for peer in equal if peer["beside"] == "blocked or warned"]
        lines += ["Faults stopped, by fault, with as many alarms as Headrace blocks or warns:", ""]
        lines += [*_by_fault([beside[0]["ours"], *beside]), ""]
    lines += [
        "**Settings chosen without these tables**",
        "",
        _filled(_AS_CHOSEN),
        "",
        *_table(part),
        "",
    ]
    lines += [_filled(_impression(peer)) for peer in document["peers"]
              if peer["left_out"] and peer["peer"] == SODA]  # fmt: skip
    return lines


def _impression(peer: Document) -> str:
    batch, part = (_share(s["stopped"], s["injected"]) for s in peer["scopes"].values())
    tables, alarmed = peer["tables"], peer["alarmed"]
    return (
        f"{SODA} (Soda Core 3 with Prophet), {peer['setting']}, ran on {len(tables)} tables"
        f" ({', '.join(tables)}) and {peer['clean_days']} clean days only, since a fit takes 0.1 s"
        f" for each metric and day: it stopped {batch} of the faults in a batch and {part} of those"
        f" in a part, and {alarmed} of the clean days alarmed. This is an impression, not a"
        " measurement."
    )


def page(document: Document) -> str:
    """Return the section of the benchmarks page."""
    tables = next((p["tables"] for p in document["peers"] if p["left_out"]), [])
    missing = [table.name for table in UNTUNED if table.name not in tables]
    note = f" Others were not measured with other tools: {', '.join(missing)}." if missing else ""
    introduction = INTRODUCTION.format(
        planted=document["planted"], tables=", ".join(tables), missing=note
    )
    return "\n".join([_filled(introduction), "", *report(document)]).rstrip() + "\n"


def _filled(text: str) -> str:
    """Return paragraphs and list items with lines of at most 100 characters."""
    items = [re.split(r"\n(?=- )", paragraph) for paragraph in text.strip().split("\n\n")]
    return "\n\n".join("\n".join(_lines(item) for item in paragraph) for paragraph in items)


def _lines(item: str) -> str:
    indent = "  " if item.startswith("- ") else ""
    return textwrap.fill(
        " ".join(item.split()),
        100,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _equal_table(equal: Iterable[Document]) -> list[str]:
    head = "| tool | margins | clean days | alarmed | batch stopped | part stopped | right column"
    lines = [
        f"{head} | wrong column | Headrace alarmed | batch stopped | part stopped |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    previous = ""
    for peer in equal:
        ours = peer["ours"]
        if peer["beside"] != previous:
            previous = peer["beside"]
            lines.append(f"| Headrace | {previous} | {_figures(ours)} | | | |")
        _, alarmed, batch, part, *_ = _figures(ours).split(" | ")
        figures = f"{_figures(peer)} | {alarmed} | {batch} | {part}"
        lines.append(f"| {peer['peer']} | {peer['setting']} | {figures} |")
    return lines


def _figures(peer: Document) -> str:
    batch, part = (_share(s["stopped"], s["injected"]) for s in peer["scopes"].values())
    right, wrong = (_share(peer[n], peer["in_columns"]) for n in ("column_right", "column_wrong"))
    days = peer["clean_days"]
    alarmed = f"{peer['alarmed'] / days:.1%}" if days else "-"
    return f"{days:,} | {alarmed} | {batch} | {part} | {right} | {wrong}"


def _table(part: Iterable[Document]) -> list[str]:
    head = "| tool | setting | clean days | alarmed | batch stopped | part stopped | right column"
    lines = [
        f"{head} | wrong column |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return lines + [f"| {peer['peer']} | {peer['setting']} | {_figures(peer)} |" for peer in part]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _by_fault(compared: list[Document]) -> list[str]:
    """Return a table of the shares of each fault that were stopped."""
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
