"""Values of all views for one typed spine row, from a store."""

import struct
from collections.abc import Mapping

from headrace.features.content import Cell
from headrace.online.answers import Answerer
from headrace.online.codes import text_code, text_key
from headrace.online.layout import Call, Layout
from headrace.online.port import Reader


def best_answerer() -> Answerer:
    """The compiled kernel where numba is installed, plain Python elsewhere."""
    from headrace.online.answers import Compiled
    from headrace.online.plain import Plain

    try:
        return Compiled()
    except ModuleNotFoundError:
        return Plain()


def values(
    reader: Reader, layout: Layout, answerer: Answerer, row: Mapping[str, Cell], t: int
) -> dict[str, Cell]:
    """Outputs of feature views and lookups; times as int microseconds UTC.

    `row` is a row of the spine as its table stores it: scaled numbers and times as integers.
    """
    found: dict[str, Cell] = {}
    for call in layout.calls:
        entity = entity_words(call, row)
        if entity is None:
            found.update(dict.fromkeys(call.names))
            continue
        answers = answerer(reader, call, entity, t)
        for place in call.texts:
            if answers[place] is not None:
                default = call.results[place].default
                answers[place] = text_of(reader, answers[place], default)
        for place in call.bools:
            if answers[place] is not None:
                answers[place] = bool(answers[place])
        found.update(zip(call.names, answers, strict=True))
    return found


def text_of(reader: Reader, code: int, default: object) -> str:
    """The text of a code; a default need not be among the texts of the store."""
    found = reader.get(text_key(code))
    return str(default) if found is None else found.decode()


def entity_words(call: Call, row: Mapping[str, Cell]) -> tuple[int, ...] | None:
    """The entity that a spine row names; None if a part of it is null."""
    words = []
    for name in call.spine_entity:
        value = row[name]
        if value is None:
            return None
        words.append(value if type(value) is int else word_of(value))
    return tuple(words)


def word_of(value: Cell) -> int:
    if isinstance(value, str):
        return text_code(value)
    if isinstance(value, float):
        return int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])
    return int(value or 0)
