"""Gates: suites compiled to one scan of a batch, and the verdict on it."""

from headrace.gates.judge import judge
from headrace.gates.judgement import Foreseen, Judgement, Result, Verdict
from headrace.gates.parquet import judge_file
from headrace.gates.reading import load_suite, parse_suite, read_suite
from headrace.gates.suite import Expectation, Fault, Suite

__all__ = [
    "Expectation",
    "Fault",
    "Foreseen",
    "Judgement",
    "Result",
    "Suite",
    "Verdict",
    "judge",
    "judge_file",
    "load_suite",
    "parse_suite",
    "read_suite",
]
