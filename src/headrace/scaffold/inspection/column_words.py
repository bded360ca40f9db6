"""The words of a column's name, and the texts that stand for no value."""

import re

# Texts that exporters write for a number that is not there.
NOTHING = ("NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "None", "nil", "#N/A", "-", "?", "")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|%")


def words(name: str) -> list[str]:
    """`depTime_local` and `Dep-Time (local)` are both dep, time, local."""
    return [word.casefold() for word in _WORD.findall(name)]
