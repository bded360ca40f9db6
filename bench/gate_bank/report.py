"""Results of the gate on the bank, as a JSON document and as a page."""

from collections import Counter, defaultdict

from headrace.verification.gate_bank.measure import Document
from headrace.verification.gate_bank.run import PLANTED_DAYS

_COUNTED = ("injected", "detected", "headline_right", "headline_wrong")
INTRODUCTION = f"""\
`python -m bench.gate_bank`, about eight minutes, validates real tables from packages day by day, as
ingestion does, with faults injected into {PLANTED_DAYS} days of each table. The code that injects
faults shares nothing with the detectors. A fault is injected wherever a table has the columns for
it, so many parts of a batch are only a few rows. The suite only demands that a day has rows.

*Stopped* means that the batch was blocked, or that exactly the altered rows were quarantined. The
*headline* is the first failed result. It is right if it names the kind of fault in an altered
column, and wrong if it names another kind, or only unaltered columns. A result that states a fact
about an altered column, such as "far from usual", is neither. "Every row twice" need not be
stopped: exact repetitions are dropped, and the clean rows are published. Clean days include real
outages, holidays and storms.

The first part shows what to expect of a new table. No threshold was chosen on these tables. One
rule (that numbers in a unit a thousand times smaller may have more decimals) was narrowed after
the results of the first eight (mail, tweets, polls, strikes, rodents, sea, solar, cities) had shown
that a wider rule caused wrong headlines. The ten others were added later. The second part is of
tables that were looked at while the thresholds were chosen.
"""


def report(document: Document) -> list[str]:
    """Return Markdown tables: first of the tables that were left out, then of the others."""
    lines: list[str] = []
    for left_out, title in (
        (True, "Tables that no threshold was chosen on"),
        (False, "Tables on which the thresholds were chosen"),
    ):
        clean = [c for c in document["clean"] if c["left_out"] == left_out]
        if clean:
            faults = [f for f in document["faults"] if f["left_out"] == left_out]
            lines += [f"**{title}**", "", *_section(faults, clean), ""]
    return lines


def page(document: Document) -> str:
    """Return the section of the benchmarks page."""
    return "\n".join([INTRODUCTION, *report(document)]).rstrip() + "\n"


def _section(faults: list[Document], clean: list[Document]) -> list[str]:
    by_fault: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    by_source: dict[str, Counter[str]] = defaultdict(Counter)
    for count in faults:
        sums = {name: count[name] for name in _COUNTED}
        by_source[count["source"]].update(sums)
        for key in ((f"all of scope {count['scope']}", ""), (count["fault"], count["scope"])):
            by_fault[key].update(sums)
    lines = ["| fault | scope | injected | stopped | headline right | headline wrong |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {scope} | {_shares(sums)} |"
        for (name, scope), sums in sorted(by_fault.items(), key=lambda item: item[0][1] != "")
        if sums["injected"]
    ]
    lines += ["", "| table | clean days | blocked | warned | injected | stopped | right | wrong |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {c['source']} | {c['days']} | {c['block_days']} | {c['warn_days']} |"
        f" {_shares(by_source[c['source']])} |"
        for c in clean
    ]
    days, blocked, warned = (
        sum(c[name] for c in clean) for name in ("days", "block_days", "warn_days")
    )
    return [*lines, "", f"Clean days: {days:,}, blocked: {blocked}, warned: {warned}."]


def _shares(sums: Counter[str]) -> str:
    planted = sums["injected"]
    shares = [f"{sums[name] / planted:.0%}" if planted else "-" for name in _COUNTED[1:]]
    return " | ".join([str(planted), *shares])
