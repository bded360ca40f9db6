"""Computation of view outputs for spine rows, from an online store."""

import struct
from collections.abc import Mapping, Sequence

from headrace.features.kernel.row_content import Cell
from headrace.serving.online.kernel.answers import Answerer, Row
from headrace.serving.online.layout import Call, Layout
from headrace.serving.online.stores.port import Reader
from headrace.serving.online.text_hash import text_code, text_key


def best_answerer() -> Answerer:
    """Return the compiled kernel if numba is installed, else the kernel in plain Python."""
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
    """Return the outputs of feature views and lookups for each row; times as int microseconds UTC.

    `rows` are spine rows as their table stores them: scaled numbers as integers, times as integers
    in microseconds UTC. Each join reads the store once or twice for all rows together.
    """
    outputs: list[dict[str, Cell]] = [{} for _ in rows]
    for call in layout.calls:
        targets, entities, at = outputs, [entity_bytes(call, row) for row in rows], moments
        if None in entities:
            complete = [i for i, entity in enumerate(entities) if entity is not None]
            for output, entity in zip(outputs, entities, strict=True):
                if entity is None:
                    output.update(dict.fromkeys(call.names))
            targets, at = [outputs[i] for i in complete], [moments[i] for i in complete]
        present = [entity for entity in entities if entity is not None]
        answers = answerer(reader, call, present, at)
        if call.texts or call.bools:
            answers = _decoded(reader, call, answers)
        for output, answer in zip(targets, answers, strict=True):
            output.update(zip(call.names, answer, strict=True))
    return outputs


def _decoded(reader: Reader, call: Call, answers: Sequence[Row]) -> list[Row]:
    """Convert codes in the answers to texts, and words to booleans."""
    codes = {answer[place] for answer in answers for place in call.texts} - {None}
    keys = [text_key(code) for code in codes]
    texts = dict(zip(codes, reader.get_many(keys), strict=True))
    rows: list[Row] = []
    for answer in answers:
        row = list(answer)
        for place in call.texts:
            if (code := row[place]) is not None:
                text = texts[code]  # None for the code of an unstored default
                row[place] = str(call.results[place].default) if text is None else text.decode()
        for place in call.bools:
            if row[place] is not None:
                row[place] = bool(row[place])
        rows.append(row)
    return rows


def entity_bytes(call: Call, row: Mapping[str, Cell]) -> bytes | None:
    """Encode the entity of a spine row as in the store's keys; None if it has a null."""
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
