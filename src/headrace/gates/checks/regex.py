r"""Translation of Python regular expressions to RE2 patterns that accept the same strings.

A pattern in a suite must match the same texts as in Great Expectations' pandas engine, which
applies `re.search` to Unicode text. The gate runs patterns in DuckDB, which uses RE2. In RE2, `\d`,
`\w` and `\s` match only ASCII characters, `$` does not match before a final newline, and there is
no lookaround. `to_re2` rewrites a pattern so that RE2 matches the same texts. If that is not
possible, the suite fails to load, because a check of another pattern would be worse than none.
"""

import re

from headrace.core.errors import DeclarationError

_SPACE = r"\t-\r\x1c-\x20\x85\p{Z}"
_WORD = r"\p{L}\p{N}_"
_OUTSIDE = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": f"[{_WORD}]",
    "W": f"[^{_WORD}]",
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
    "A": r"\A",
    "Z": r"\z",
}
_INSIDE = {"d": r"\p{Nd}", "D": r"\P{Nd}", "w": _WORD, "s": _SPACE}
_CONTROL = set("afnrtv")
_HEX_LENGTH = {"x": 2, "u": 4, "U": 8}
_GROUPS = ("(?:", "(?P<", "(?i)", "(?s)", "(?i:", "(?s:")


class _Translator:
    """Translator of one pattern, which it reads once from left to right.

    `at` is the position of the next character; `inside` is True within a character class `[...]`.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.inside = False
        self.out: list[str] = []

    def refuse(self, what: str) -> DeclarationError:
        return DeclarationError(
            f"the regular expression {self.pattern!r} uses {what}",
            fix="write the pattern without it, or split the check into two expectations",
        )

    def run(self) -> str:
        while self.at < len(self.pattern):
            self.step()
        return "".join(self.out)

    def take(self, count: int, text: str | None = None) -> None:
        part = self.pattern[self.at : self.at + count]
        self.out.append(part if text is None else text)
        self.at += count

    def step(self) -> None:
        character = self.pattern[self.at]
        if character == "\\":
            self.escape(self.pattern[self.at + 1])
        elif self.inside:
            self.in_class(character)
        elif character == "[":
            self.open_class()
        elif character == "(" and self.pattern.startswith("(?", self.at):
            self.group()
        elif character == "$":
            self.end()
        elif self.pattern.startswith("{,", self.at):
            raise self.refuse("'{,', which RE2 would match literally; write '{0,'")
        else:
            self.take(1)

    def escape(self, letter: str) -> None:
        replacement = (_INSIDE if self.inside else _OUTSIDE).get(letter)
        if replacement is not None:
            self.take(2, replacement)
        elif letter in _HEX_LENGTH:
            digits = self.pattern[self.at + 2 : self.at + 2 + _HEX_LENGTH[letter]]
            self.take(2 + len(digits), f"\\x{{{digits}}}")
        elif letter in _CONTROL or not letter.isalnum():
            self.take(2)
        else:
            raise self.refuse(f"'\\{letter}', which RE2 lacks or interprets differently")

    def open_class(self) -> None:
        self.inside = True
        self.take(2 if self.pattern.startswith("[^", self.at) else 1)
        if self.pattern.startswith("]", self.at):  # the first character of a class is literal
            self.take(1, r"\]")

    def in_class(self, character: str) -> None:
        if self.pattern.startswith("[:", self.at):
            raise self.refuse("'[:' inside a character class")
        self.inside = character != "]"
        self.take(1, r"\[" if character == "[" else None)

    def group(self) -> None:
        opening = next((g for g in _GROUPS if self.pattern.startswith(g, self.at)), None)
        if opening is None:
            raise self.refuse(
                f"'{self.pattern[self.at : self.at + 4]}', which RE2 does not support"
            )
        self.take(len(opening))

    def end(self) -> None:
        """Translate `$`, which in Python also matches before one final newline."""
        if self.pattern[self.at + 1 : self.at + 2] not in {"", "|", ")"}:
            raise self.refuse("'$' not at the end of the pattern, a group or an alternative")
        self.take(1, r"(?:\n?\z)")


def to_re2(pattern: str) -> str:
    """Return an RE2 pattern that matches the same texts as `re.search(pattern, text)`."""
    try:
        re.compile(pattern)
    except re.error as broken:
        raise DeclarationError(
            f"{pattern!r} is not a regular expression: {broken}", fix="correct the pattern"
        ) from broken
    return _Translator(pattern).run()
