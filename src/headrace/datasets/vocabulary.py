"""The words that declarations and readers share; light, so that opening a release stays so."""

import re
from collections.abc import Iterable

SPLITS = ("train", "valid", "test")
# A fourth one, for some datasets: rows like production's, kept apart from all tuning.
EVALUATION = "evaluation"
PLACES = (*SPLITS, EVALUATION)
# Of a long list of names, so many are told.
_SHOWN = 12
# Of datasets and models: a folder name everywhere, and never a path.
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def choose(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest one known, and what else there is."""
    import difflib

    listed = list(known)
    near = difflib.get_close_matches(word, listed, n=1)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    every = f"choose from {', '.join(listed[:_SHOWN])}{more}"
    return f"did you mean {near[0]!r}? Or {every}" if near else every
