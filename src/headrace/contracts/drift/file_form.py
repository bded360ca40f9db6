"""Detectors for deliveries in another form: of the whole file, or of unreadable cells."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.model import Field
from headrace.contracts.typed_cells import parse

_COMMA = r"^\s*-?([0-9]{1,3}(\.[0-9]{3})+|[0-9]*),[0-9]+\s*$"
_THOUSANDS = r"^\s*-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*$"
_EPOCH = r"^-?[0-9]{9,19}(\.[0-9]+)?$"
_EPOCHS = {10: "seconds", 13: "milliseconds", 16: "microseconds", 19: "nanoseconds"}
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_SEPARATORS = (";", "\t", "|")
_HEADER_LENGTH = 60  # most characters of a header in a message
_HEADER_SHARE = 0.25  # greatest share of declared names in a header that is none
_SHARE = 0.6  # least share of the unreadable cells that must match the format


def file_form(case: DriftCase) -> Iterator[DriftFinding]:
    """Report a delivery with hardly any declared column, by what its header looks like.

    A value of the first row may be the name of a column.
    """
    declared = {name for f in case.look.contract.delivered for name in (f.name, *f.aliases)}
    names = list(case.text)
    if not names or len(declared & set(names)) > _HEADER_SHARE * len(names):
        return
    first = names[0][:_HEADER_LENGTH]
    if any("\x00" in name for name in names):
        words = "the file is not UTF-8: its text has zero bytes, as in UTF-16"
    elif len(names) == 1 and any(mark in names[0] for mark in _SEPARATORS):
        mark = next(mark for mark in _SEPARATORS if mark in names[0])
        words = f"its columns are separated by {mark!r}: {first!r}"
    elif any(name[:1].isdigit() or name[:1] == "-" for name in names):
        words = f"the header is missing: the first line is {first!r} ..."
    else:
        return  # the columns may have been renamed
    sentence = f"The file is not written as declared: {words}."
    yield DriftFinding(
        "file_form", (), sentence, {"columns": names[:5]}, weight=float(case.look.rows)
    )


def written_otherwise(case: DriftCase) -> Iterator[DriftFinding]:
    for field in case.look.contract.delivered:
        text = case.text.get(field.name)
        if text is None:
            continue
        wrong = parse(field, text).wrong
        if wrong:
            yield from _forms(field, text.take(pa.array(wrong)))


def _forms(field: Field, cells: pa.Array) -> Iterator[DriftFinding]:
    example = cells[0].as_py()
    if field.type in {"integer", "number"}:
        if _share(cells, _THOUSANDS) >= _SHARE and field.type == "integer":
            yield _finding("decimal_comma", field, cells, f"thousands are parted: {example!r}")
        elif _share(cells, _COMMA) >= _SHARE:
            yield _finding("decimal_comma", field, cells, f"a comma for the point: {example!r}")
    if field.type == "timestamp":
        if _share(cells, _EPOCH) >= _SHARE:
            digits = len(example.lstrip("-").partition(".")[0])
            unit = _EPOCHS.get(digits, "some unit")
            words = f"moments are counted in {unit} since 1970: {example!r}"
            yield _finding("timestamp_precision", field, cells, words)
        elif _share(cells, _DATE) >= _SHARE:
            words = f"moments have lost their time of day: {example!r}"
            yield _finding("timestamp_precision", field, cells, words)


def _share(cells: pa.Array, pattern: str) -> float:
    matching = pc.sum(pc.match_substring_regex(cells, pattern)).as_py() or 0
    return float(matching / len(cells))


def _finding(kind: str, field: Field, cells: pa.Array, words: str) -> DriftFinding:
    count = len(cells)
    sentence = f"{field.name} is written in another way, {words}, in {count} rows."
    return DriftFinding(kind, (field.name,), sentence, {"rows": count}, weight=float(count))
