"""What Great Expectations answers to `gx_cases`, on record: asking it takes a minute.

Made anew with `python -m tests.gates.gx_record`, when the library, a batch or a case changes.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.gates.gx_cases import (
    BATCHES,
    COLUMNS,
    CONDITIONED,
    EDGES,
    EMPTY,
    FULL,
    HOLES,
    ROWS,
    at_their_shares,
)
from tests.gates.gx_reference import GxBatch

FILE = Path(__file__).with_name("gx_answers.json.gz")
FIELDS = (
    *("success", "crash", "observed_value"),
    *("element_count", "missing_count", "unexpected_count", "unexpected_index_list"),
)


def installed() -> dict[str, str]:
    """The versions that an answer depends on."""
    return {name: version(name) for name in ("great-expectations", "pandas")}


def digest(value: object) -> str:
    """Of JSON values, NaN included."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def rows(name: str) -> str:
    return hashlib.sha256(repr(BATCHES[name].to_pydict()).encode()).hexdigest()


def told(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer is compared, as it comes back from a file."""
    kept = {name: answer[name] for name in FIELDS if name in answer}
    return json.loads(json.dumps(kept, default=lambda scalar: scalar.item()))  # numpy's


ON_RECORD: dict[str, Any] = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}


class Recorded:
    """One batch as Great Expectations saw it."""

    def __init__(self, name: str) -> None:
        record = ON_RECORD["batches"][name]
        assert record["rows"] == rows(name), f"{name} is another batch: record it anew"
        self._answers = record["answers"]

    def ask(self, cases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """As `Reference.ask` does; KeyError: it was never asked this, so record it anew."""
        return [self._answers[digest(case)] for case in cases]


def asked(name: str) -> list[list[tuple[str, dict[str, Any]]]]:
    """The rounds in which the reference is asked about a batch, as the tests compare them."""
    rounds = [ROWS, COLUMNS]
    if name in (FULL, HOLES):
        rounds += [CONDITIONED, at_their_shares(BATCHES[name])]
    return rounds


def main() -> None:
    batches = {}
    for name in (*EDGES, FULL, HOLES, EMPTY):
        reference = GxBatch(BATCHES[name])
        answers = {
            digest(case): told(answer)
            for cases in asked(name)
            for case, answer in zip(cases, reference.ask(cases), strict=True)
        }
        batches[name] = {"rows": rows(name), "answers": answers}
    record = {"versions": installed(), "batches": batches}
    text = json.dumps(record, indent=0, sort_keys=True, ensure_ascii=False)
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
