"""Values of all views for typed spine rows, from a store."""

import struct
from collections.abc import Mapping, Sequence

from headrace.features.kernel.row_content import Cell
from headrace.serving.online.kernel.answers import Answerer, Row
from headrace.serving.online.layout import Call, Layout
from headrace.serving.online.stores.port import Reader
from headrace.serving.online.text_hash import text_code, text_key


def best_answerer() -> Answerer:
    """The compiled kernel where numba is installed, plain Python elsewhere."""
    from headrace.serving.online.kernel.answers import Compiled
    from headrace.serving.online.kernel.plain import Plain

    try:
        return Compiled()
    except ModuleNotFoundError:
        return Plain()


def values(
    reader: Reader,
    layout: Layout,
    answerer: Answerer,
    rows: Sequence[Mapping[str, Cell]],
    moments: Sequence[int],
) -> list[dict[str, Cell]]:
    """Outputs of feature views and lookups for each row at its moment; times as int microseconds.

    The store is looked at once or twice for each join, however many rows there are. A row is one of
    the spine as its table stores it: scaled numbers and times as integers, microseconds UTC.
    """
    found: list[dict[str, Cell]] = [{} for _ in rows]
    for call in layout.calls:
        asked, entities, at = found, [entity_bytes(call, row) for row in rows], moments
        if None in entities:
            whole = [i for i, entity in enumerate(entities) if entity is not None]
            for one, entity in zip(found, entities, strict=True):
                if entity is None:
                    one.update(dict.fromkeys(call.names))
            asked, at = [found[i] for i in whole], [moments[i] for i in whole]
        known = [entity for entity in entities if entity is not None]
        answers = answerer(reader, call, known, at)
        if call.texts or call.bools:
            answers = _told(reader, call, answers)
        for one, answer in zip(asked, answers, strict=True):
            one.update(zip(call.names, answer, strict=True))
    return found


def _told(reader: Reader, call: Call, answers: Sequence[Row]) -> list[Row]:
    """The answers with texts for their codes, and booleans."""
    codes = {answer[place] for answer in answers for place in call.texts} - {None}
    keys = [text_key(code) for code in codes]
    texts = dict(zip(codes, reader.get_many(keys), strict=True))
    found: list[Row] = []
    for answer in answers:
        row = list(answer)
        for place in call.texts:
            if (code := row[place]) is not None:
                text = texts[code]  # a default need not be among the texts of the store
                row[place] = str(call.results[place].default) if text is None else text.decode()
        for place in call.bools:
            if row[place] is not None:
                row[place] = bool(row[place])
        found.append(row)
    return found


def entity_bytes(call: Call, row: Mapping[str, Cell]) -> bytes | None:
    """The entity that a spine row names, as a store's keys have it; None if a part is null."""
    parts = []
    for name in call.spine_entity:
        value = row[name]
        if value is None:
            return None
        word = value if type(value) is int else word_of(value)
        parts.append(word.to_bytes(8, "little", signed=True))
    return b"".join(parts)


def word_of(value: Cell) -> int:
    if isinstance(value, str):
        return text_code(value)
    if isinstance(value, float):
        return int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])
    return int(value or 0)
