"""Detection of columns with personal data, and fake values for rows committed to a repository."""

import random
import re
from collections.abc import Collection, Iterable
from itertools import pairwise

import pyarrow as pa

from headrace.scaffold.inspection.column_words import NULL_TEXTS, words

EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(\+|00)?[\d(][\d\s().\-/]{6,18}\d")
_IP = re.compile(r"(\d{1,3}\.){3}\d{1,3}")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9 ]{11,34}")
_SOCIAL = re.compile(r"\d{3}-\d{2}-\d{4}")
_WORDS = re.compile(r"[^\W\d_]+([ ._-][^\W\d_]+\.?){1,3}")
# One of these words in the header makes the column personal.
_HEADERS = frozenset(
    words(
        "email mail emails phone telephone mobile cellphone fax ssn passport iban surname "
        "firstname lastname fullname username birthdate birthday dob ip"
    )
)
_PAIRS = (
    ("e", "mail"), ("first", "name"), ("last", "name"), ("full", "name"), ("given", "name"),
    ("family", "name"), ("middle", "name"), ("maiden", "name"), ("user", "name"),
    ("birth", "date"), ("date", "birth"), ("street", "address"), ("home", "address"),
    ("postal", "address"), ("ip", "address"), ("credit", "card"), ("card", "number"),
)  # fmt: skip
# Words for roles of people: such a column is personal only if its values look like names.
_PERSONS = frozenset(
    words(
        "customer client contact driver passenger patient employee guest owner agent person "
        "user author teacher doctor physician nurse officer manager seller buyer member staff "
        "worker name address recipient sender"
    )
)
_NOT_NAMES = frozenset(words("file host product item brand city country state region store shop"))
_LIKE = 0.8  # share of the values that must match a pattern


def is_personal(header: str, values: pa.ChunkedArray | pa.Array) -> bool:
    """Return True if the header or the values (strings) indicate personal data."""
    name_words = words(header)
    texts = [text for text in values.drop_null().unique().to_pylist() if text]
    if not texts:
        return False
    if _HEADERS & set(name_words) or any(_follow(name_words, pair) for pair in _PAIRS):
        return any(re.search(r"[^\W\d_]|\d{5}", text) for text in texts)
    if any(EMAIL.search(text) for text in texts):
        return True
    for pattern in (_SOCIAL, _IBAN, _IP):
        if _share(pattern, texts) >= _LIKE:
            return True
    if _share(_PHONE, texts) >= _LIKE and any(
        re.search(r"[+()]|\d[ -/]\d", text) for text in texts
    ):
        return not all(re.fullmatch(r"\d{4}[-/.]\d\d[-/.]\d\d.*|[\d.]+", text) for text in texts)
    person = _PERSONS & set(name_words) and not _NOT_NAMES & set(name_words)
    return bool(person) and len(texts) > 10 and _share(_WORDS, texts) >= _LIKE


def _follow(name_words: list[str], pair: tuple[str, str]) -> bool:
    return any((first, second) == pair for first, second in pairwise(name_words))


def _share(pattern: re.Pattern[str], texts: Collection[str]) -> float:
    return sum(bool(pattern.fullmatch(text.strip())) for text in texts) / len(texts)


class StandIns:
    """Fake values ("stand-ins") of the same format; equal values of a column get equal ones.

    They are derived from the order in which values appear, not from the values, so they cannot be
    reversed.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], str] = {}
        self._used: set[tuple[str, str]] = set()

    def of(self, column: str, text: str) -> str:
        """Return the stand-in for `text` in a column; null texts stay as they are."""
        if text in NULL_TEXTS:
            return text
        if (column, text) not in self._of:
            for attempt in range(1000):
                stand_in = self._make(column, text, attempt)
                if (column, stand_in) not in self._used and stand_in != text:
                    break
            self._used.add((column, stand_in))
            self._of[column, text] = stand_in
        return self._of[column, text]

    def _make(self, column: str, text: str, attempt: int) -> str:
        chance = random.Random(f"{column} {len(self._of)} {attempt}")  # noqa: S311 - no secret
        if not EMAIL.search(text):
            return "".join(_like(char, chance) for char in text)
        pieces, end = [], 0
        for match in EMAIL.finditer(text):
            local = match[0].partition("@")[0]
            pieces += [
                "".join(_like(char, chance) for char in text[end : match.start()]),
                "".join(_like(char, chance) for char in local),
                "@example.com",
            ]
            end = match.end()
        return "".join([*pieces, *(_like(char, chance) for char in text[end:])])


def _like(char: str, chance: random.Random) -> str:
    """Return a random character of the same kind: digit, upper-case or lower-case letter."""
    if char.isdigit():
        return chance.choice("123456789")
    if char.isalpha():
        letter = chance.choice("abcdefghijklmnopqrstuvwxyz")
        return letter.upper() if char.isupper() else letter
    return char


def masked(record: bytes, places: Iterable[int], headers: list[str], stand_ins: StandIns) -> bytes:
    """Return a CSV record with stand-ins in the fields at `places`; quoting is preserved."""
    positions = set(places)
    fields = _fields(record.decode("utf-8"))
    for number in positions:
        if number < len(fields):
            fields[number] = _replaced(fields[number], headers[number], stand_ins)
    return ",".join(fields).encode()


def _replaced(field: str, column: str, stand_ins: StandIns) -> str:
    body = field.rstrip("\r\n")
    end = field[len(body) :]
    if len(body) > 1 and body[0] == body[-1] == '"':
        inner = stand_ins.of(column, body[1:-1].replace('""', '"')).replace('"', '""')
        return f'"{inner}"{end}'
    return stand_ins.of(column, body) + end


def _fields(record: str) -> list[str]:
    """Split a CSV record into its raw fields, including their quotes."""
    fields, start, quoted = [], 0, False
    for place, char in enumerate(record):
        if char == '"' and (quoted or place == start):
            quoted = not quoted
        elif char == '"' and record[place - 1] == '"':  # an escaped quote
            quoted = True
        elif char == "," and not quoted:
            fields.append(record[start:place])
            start = place + 1
    return [*fields, record[start:]]
