"""Every compiled expectation answers as Great Expectations' pandas engine does.

Compared on generated batches: success, element count, missing count, unexpected count, observed
value, and which rows fail. Where the reference is inconsistent, the case says so and what we do.

The reference takes its time over every case, so its answers are on record (`gx_record`). The long
tests ask it anew, of every batch; the short ones a share of what is on record, and hold that the
record is of the library that is installed.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pytest

from headrace.gates.checks.vocabulary import VOCABULARY
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
from tests.gates.gx_record import ON_RECORD, Recorded, digest, installed, told
from tests.gates.gx_reference import GxBatch, ours

# Its pandas engine has none of these: see test_like_patterns.
UNKNOWN_TO_PANDAS = {kind for kind in VOCABULARY if "_like_pattern" in kind}

# The reference counts the strangers among distinct values and observes nothing; we name them.
UNOBSERVED = {
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
}


def same(observed, reference) -> bool:
    if observed is None:  # of no moments the reference says "NaT", of no numbers nothing
        return reference in {None, "NaT"}
    if isinstance(reference, dict):  # of quantiles
        reference = reference["values"]
        return all(
            theirs is None or math.isnan(theirs) if mine is None else mine == theirs
            for mine, theirs in zip(observed, reference, strict=True)
        )
    if isinstance(observed, float) and math.isnan(observed):
        return reference is None or math.isnan(reference)
    if isinstance(observed, int | float):
        return math.isclose(observed, reference, rel_tol=1e-12, abs_tol=1e-12)
    if isinstance(observed, str):
        return datetime.fromisoformat(observed) == datetime.fromisoformat(reference)
    return observed == list(reference)


class Answers(Protocol):
    def ask(self, cases: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]: ...


def compare(table: pa.Table, reference: Answers, cases: list[tuple[str, dict]]) -> None:
    for (kind, kwargs), finding, answer in zip(
        cases, ours(table, cases), reference.ask(cases), strict=True
    ):
        assert finding.outcome is not None, f"{kind} {kwargs} crashed: {finding.error}"
        outcome, rows = finding.outcome, finding.rows.tolist()
        told = f"{kind} {kwargs} on {table.num_rows} rows: {outcome}, reference {answer}"
        assert not answer["crash"], told
        assert outcome.success == answer["success"], told
        if "observed_value" in answer and kind not in UNOBSERVED:
            assert same(outcome.observed, answer["observed_value"]), told
        for found, theirs in (
            (outcome.elements, "element_count"),
            (outcome.missing, "missing_count"),
            (outcome.unexpected, "unexpected_count"),
        ):
            assert found == answer.get(theirs, found), told
        if not outcome.success and "unexpected_index_list" in answer:
            assert rows == answer["unexpected_index_list"], told


@pytest.fixture(scope="module")
def pair(request) -> tuple[pa.Table, Answers]:
    name, source = request.param
    return BATCHES[name], source(name)


def live(name: str) -> GxBatch:
    return GxBatch(BATCHES[name])


def on_batches(*quick: str) -> pytest.MarkDecorator:
    """By the record of these batches always; in the long tests of every batch, asked anew."""
    chosen = [pytest.param((name, Recorded), id=f"{name}-recorded") for name in quick]
    anew = [pytest.param((n, live), id=f"{n}-live", marks=pytest.mark.slow) for n in BATCHES]
    return pytest.mark.parametrize("pair", [*chosen, *anew], indirect=True)


@on_batches(*EDGES, FULL, HOLES, EMPTY)
@pytest.mark.parametrize("cases", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_answers_as_the_reference_does(pair, cases) -> None:
    compare(*pair, cases)


@on_batches(FULL, HOLES)
def test_answers_under_a_condition_as_the_reference_does(pair) -> None:
    compare(*pair, CONDITIONED)


@on_batches(FULL, HOLES)
def test_mostly_is_met_exactly_at_its_share(pair) -> None:
    compare(*pair, at_their_shares(pair[0]))


def test_the_record_is_of_the_library_that_is_installed() -> None:
    assert ON_RECORD["versions"] == installed()


@pytest.mark.parametrize("name", [FULL, HOLES])
def test_the_reference_still_says_what_is_on_record(name) -> None:
    """A share of it, of every type, in one round; the long tests ask for all."""
    some: dict[str, tuple[str, dict]] = {}
    for kind, kwargs in (ROWS + COLUMNS)[:: 1 if name == FULL else -1]:
        some.setdefault(kind, (kind, kwargs))
    cases = list(some.values())
    answers = zip(cases, live(name).ask(cases), Recorded(name).ask(cases), strict=True)
    for case, said, recorded in answers:
        assert digest(told(said)) == digest(recorded), case


def test_every_compiled_type_is_compared() -> None:
    compiled = {kind: one for kind, one in VOCABULARY.items() if one.compiled}
    rows = {kind for kind, one in compiled.items() if one.row_level}
    assert {kind for kind, _ in ROWS} == rows - UNKNOWN_TO_PANDAS
    assert {kind for kind, _ in COLUMNS} == compiled.keys() - rows
