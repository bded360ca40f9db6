"""Great Expectations on pandas, the same suite: `python -m bench.peers.gates_gx FILE SMALL ...`.

Arguments and answer are like those of `gates_soda`. pandas reads the file within the measured time.
Only the success of each check is requested, which is the fastest result format.
"""

import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

import pandas as pd

os.environ["GX_ANALYTICS_ENABLED"] = "false"


def validate(definition, gx, classes, path: str, checks: list) -> dict[str, bool]:
    asked = []
    for name, kind, given in checks:
        kwargs = dict(given)
        if kind in {"expect_column_min_to_be_between", "expect_column_max_to_be_between"}:
            kwargs |= {k: pd.Timestamp(v) for k, v in given.items() if k.endswith("_value")}
        class_name = "".join(part.capitalize() for part in kind.split("_"))
        asked.append(getattr(classes, class_name)(**kwargs, meta={"id": name}))
    suite = gx.ExpectationSuite(name="suite", expectations=asked)
    frame = pd.read_parquet(path)
    batch = definition.get_batch(batch_parameters={"dataframe": frame})
    found = {}
    for result in batch.validate(suite, result_format="BOOLEAN_ONLY").results:
        if any(v.get("exception_message") for v in (result.exception_info or {}).values()
               if isinstance(v, dict)):  # fmt: skip
            raise SystemExit(str(result.exception_info))
        found[result.expectation_config.meta["id"]] = bool(result.success)
    return found


def main(path: str, small: str, small_checks: str, checks: str) -> None:
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    import great_expectations as gx
    import great_expectations.expectations as classes

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
    definition = asset.add_batch_definition_whole_dataframe("batch")
    importing = time.perf_counter() - start
    validate(definition, gx, classes, small, json.loads(Path(small_checks).read_text()))
    start = time.perf_counter()
    verdicts = validate(definition, gx, classes, path, json.loads(Path(checks).read_text()))
    seconds = time.perf_counter() - start
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(
        {"seconds": seconds, "import_s": importing, "rss_mb": rss, "verdicts": verdicts}
    ))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
