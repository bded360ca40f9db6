"""Names that declarations and readers share; imports little, so that opening a release is fast."""

import re
from collections.abc import Iterable

SPLITS = ("train", "valid", "test")
# Optional fourth split: rows as in production, never used for tuning.
EVALUATION = "evaluation"
PLACES = (*SPLITS, EVALUATION)
# Maximum number of names shown from a long list.
_MAX_NAMES = 12
# Names of datasets and models: valid as folder names on all systems, and never paths.
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def choose(word: str, choices: Iterable[str]) -> str:
    """Hint for an unknown `word`: the closest choice, and the list of choices."""
    import difflib

    listed = list(choices)
    near = difflib.get_close_matches(word, listed, n=1)
    remainder = f" and {len(listed) - _MAX_NAMES} more" if len(listed) > _MAX_NAMES else ""
    options = f"choose from {', '.join(listed[:_MAX_NAMES])}{remainder}"
    return f"did you mean {near[0]!r}? Or {options}" if near else options
