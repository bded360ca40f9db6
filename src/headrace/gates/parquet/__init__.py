"""Gate for a Parquet file that need not fit in memory."""

from headrace.gates.parquet.judge import judge_file

__all__ = ["judge_file"]
