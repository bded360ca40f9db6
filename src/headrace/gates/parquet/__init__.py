"""Validation of Parquet files larger than memory."""

from headrace.gates.parquet.judge import judge_file

__all__ = ["judge_file"]
