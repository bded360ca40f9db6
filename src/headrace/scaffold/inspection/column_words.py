"""Words in column names, and texts that mean null."""

import re

# Texts that exporting tools write for a missing number.
NULL_TEXTS = ("NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "None", "nil", "#N/A", "-", "?", "")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|%")


def words(name: str) -> list[str]:
    """Split a name into words: `depTime_local` and `Dep-Time (local)` are both dep, time, local."""
    return [word.casefold() for word in _WORD.findall(name)]
