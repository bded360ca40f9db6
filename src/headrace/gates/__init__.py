"""Validation of batches: a suite is compiled to one scan, which gives the batch's verdict."""

from headrace.gates.judge import judge
from headrace.gates.parquet import judge_file
from headrace.gates.suite import Expectation, Fault, Suite
from headrace.gates.suite_reader import load_suite, parse_suite, read_suite
from headrace.gates.verdict import Foreseen, Judgement, Result, Verdict

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
