"""Evidently's summary of a table, in Evidently's environment: FILE; prints JSON.

The rows are in pandas, and the library is loaded, before the clock starts.
"""
# ruff: noqa: E402  # the library reads the environment variables when it is imported

import json
import os
import sys
import time
import warnings

os.environ.update({"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"})
warnings.filterwarnings("ignore")

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataSummaryPreset


def main(path: str) -> None:
    rows = pd.read_parquet(path)
    texts = [name for name in rows if name.startswith("text")]
    rows[texts] = rows[texts].astype(object)
    numbers = [name for name in rows if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    start, busy = time.perf_counter(), time.process_time()
    dataset = Dataset.from_pandas(rows, data_definition=definition)
    found = Report([DataSummaryPreset()]).run(dataset, None).dict()["metrics"]
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    answers = {}
    for one in found:
        config = one["config"]
        what, column = config["type"].rpartition(":")[2], config.get("column")
        if column is None:
            continue
        about = answers.setdefault(column, {})
        if what == "MissingValueCount":
            about["nulls"] = int(one["value"]["count"])
        elif what in {"MinValue", "MaxValue"}:
            about[what] = float(one["value"])
        elif what == "QuantileValue":
            about[str(config["quantile"])] = float(one["value"])
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "rss_mb": 0, "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
