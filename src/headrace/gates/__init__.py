"""Gates: suites compiled to one scan of a batch, and the verdict on it."""

from headrace.gates.judge import judge
from headrace.gates.judgement import Foreseen, Judgement, Result, Verdict
from headrace.gates.parquet import judge_file
from headrace.gates.suite import Expectation, Suite, load_suite, parse_suite

__all__ = [
    "Expectation",
    "Foreseen",
    "Judgement",
    "Result",
    "Suite",
    "Verdict",
    "judge",
    "judge_file",
    "load_suite",
    "parse_suite",
]
