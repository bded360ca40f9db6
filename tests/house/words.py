"""Phrases that texts for readers avoid: documentation, docstrings, messages, templates."""

import re
from collections.abc import Iterator

# By what to write instead. "There is no row" is plain; "it is no row" is not.
PHRASES = {
    "again, from scratch, re-run": r"anew",
    "is not a": (
        r"(?:is|are|was|were) no"
        r"(?! (?:longer|more|less|fewer|later|earlier|other|such|need|way)\b) \w+"
    ),
    "is not, has no": r"(?:is|are|was|were) (?-i:none)",
    "compared with, must match": r"held (?:against|to)",
    "is, applies, effective": r"stands(?! for\b)|standing",
    "whose, from which": r"of (?:which|whom)|thereof|therein|wherein|whereof",
    "anyone who": r"who(?:m)?ever|somebody",
    "current, production": r"in charge",
    "withdrawn": r"(?:taken|take|takes|took|taking) back",
    "rebuilt, re-validated": (
        r"(?:made|make|makes|making|judged|judge|judges|judging|asked|computed|weighed) again"
    ),
    "more severe, most severe": r"graver|gravest",
    "fix, repair": r"mend(?:s|ed|ing)?",
    "reports, notified": r"told|tells?|telling",
    "notified, receives": r"hears?(?! from\b)|heard",
    "admitted": r"(?:let|lets|letting) in",
    "duplicate": r"doubled",
    "excluded": r"left out",
    "held, quarantined": r"held back",
    "prune": r"thin(?:s|ned|ning)? (?:out|the)",
    "says, means": r"is about by now|is another(?= by\b)|by itself alone",
}
PLAIN = r"(?P<plain>there (?:is|are|was|were) (?:no|none))"
AVOIDED = re.compile(
    rf"\b(?:{'|'.join([PLAIN, *PHRASES.values()])})\b".replace(" ", r"\s+"), re.IGNORECASE
)


def find(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each phrase to avoid."""
    for match in AVOIDED.finditer(text):
        if match["plain"]:
            continue
        line = first_line + text.count("\n", 0, match.start())
        yield line, " ".join(match.group().split())
