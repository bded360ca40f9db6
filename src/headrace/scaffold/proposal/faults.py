"""What of some data does not fit a contract, in a few sentences."""

from collections import Counter

from headrace.contracts import Contract, conform
from headrace.sources.rows import RawRows

_MOST = 2  # of each column and rule


def faults(contract: Contract, rows: RawRows) -> tuple[str, ...]:
    """The first violations and bad rows of each column, and how many there are in all."""
    found = conform(contract, rows, "sample")
    told = [(violation.field, "", str(violation)) for violation in found.violations]
    told += [
        (bad_row.field, bad_row.rule, f"row {bad_row.line}: {bad_row.reason}")
        for bad_row in found.bad_rows
    ]
    shown, seen = [], Counter[tuple[str, str]]()
    for field, rule, text in told:
        seen[field, rule] += 1
        if seen[field, rule] <= _MOST:
            shown.append(text)
    total = found.violation_count + len(found.bad_rows)
    if total > len(shown):
        shown.append(f"{total:,} in all")
    return tuple(shown)
