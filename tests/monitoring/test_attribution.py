"""Which of the two it was, and what is said about it."""

from dataclasses import replace

import pytest

from headrace.monitoring import Attribution, Evidence, Window, attribute
from headrace.monitoring.evidence.model import SCORE, evidence_hash

WEEK = Window(7, 14)


def found(kind, *columns, severity="alarm", statistic=1.0, segment=()):
    subject = columns[0] if columns else kind
    return Evidence(
        kind, WEEK, subject, statistic, 0.5, severity, f"{kind} of {subject}.", columns, segment
    )


MOVED = [found("population", name) for name in "abc"]
TURNED = replace(found("concept"), subject="relation", statistic=1.9)
SCORES = replace(found("population", severity="notice"), subject=SCORE)
TWICE = replace(found("data_fault"), subject="rows:twice")
CASES = [
    ("nothing", [], "none"),
    ("notices only", [found("data_fault", "a", severity="notice")], "none"),
    ("a fault", [found("data_fault", "a")], "data"),
    ("rows", [found("volume")], "data"),
    ("a shift", [found("population", "a")], "data"),
    ("a relation", [found("concept")], "concept"),
    ("worse scores", [found("performance")], "concept"),
    ("a fault and worse scores", [found("data_fault", "a"), found("performance")], "data"),
    ("a fault and a relation", [found("data_fault", "a"), found("concept")], "data"),
    ("a shift and worse scores", [found("population", "a"), found("performance")], "data"),
    ("a column and a relation", [found("population", "a"), found("concept")], "data"),
    (
        "a column, what the scores made of it, and a relation",
        [found("population", "a"), SCORES, found("concept")],
        "data",
    ),
    ("a shift and a relation", [*MOVED, found("concept")], "both"),
    ("a fault and a turned relation", [found("data_fault", "a"), TURNED], "both"),
    ("a turned relation", [TURNED], "concept"),
    ("fewer rows and a relation", [found("volume"), found("concept")], "both"),
    ("fewer rows and worse scores", [found("volume"), found("performance")], "data"),
    ("rows twice and a relation", [TWICE, found("concept")], "both"),
    ("labels moved", [found("population", "late"), found("concept")], "concept"),
    ("labels moved alone", [found("population", "late")], "data"),
]


@pytest.mark.parametrize(("evidence", "cause"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_cause(evidence, cause):
    made = attribute(evidence, label_derived=("late",))
    assert made.cause == cause
    assert made == attribute(evidence[::-1], label_derived=("late",))
    assert Attribution.from_json(made.to_json()) == made


def test_columns_and_segments_come_strongest_first():
    where = (("origin", "EWR"),)
    made = attribute(
        [found("data_fault", "a"), found("data_fault", "b", statistic=9.0, segment=where)]
    )
    assert made.columns == ("b", "a")
    assert made.segments == (where,)
    assert made.sentence.startswith("Data: data_fault of b.")


def test_evidence_keeps_its_old_hash_without_columns_and_segment():
    bare = found("concept")
    assert set(bare.to_json()) == {
        "kind", "window", "subject", "statistic", "threshold", "severity", "sentence",
    }  # fmt: skip
    full = found("concept", "a", segment=(("origin", "EWR"),))
    assert Evidence.from_json(full.to_json()) == full
    assert Evidence.from_json(bare.to_json()) == bare
    assert evidence_hash([bare]) != evidence_hash([full])
