"""Short summary of how some data breaks a contract."""

from collections import Counter

from headrace.contracts import Contract, conform
from headrace.sources.rows import RawRows

_MOST_LISTED = 2  # faults listed per column and rule


def faults(contract: Contract, rows: RawRows) -> tuple[str, ...]:
    """Describe the first violations and bad rows of each column, and their total number."""
    conformed = conform(contract, rows, "sample")
    sentences = [(violation.field, "", str(violation)) for violation in conformed.violations]
    sentences += [
        (bad_row.field, bad_row.rule, f"row {bad_row.line}: {bad_row.reason}")
        for bad_row in conformed.bad_rows
    ]
    listed, counts = [], Counter[tuple[str, str]]()
    for field, rule, text in sentences:
        counts[field, rule] += 1
        if counts[field, rule] <= _MOST_LISTED:
            listed.append(text)
    total = conformed.violation_count + len(conformed.bad_rows)
    if total > len(listed):
        listed.append(f"{total:,} in all")
    return tuple(listed)
