"""Pandera, in its own environment: `python gates_pandera.py FORM FILE SMALL SMALL_CHECKS CHECKS`.

FORM is `polars` or `pandas`. Pandera's built-in checks are used if they exist, else checks that are
one expression of Polars or pandas. All failures are requested (`lazy`), because Headrace's gate
reports all failures too. The file is read within the measured time. The answer is like that of
`gates_soda`.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ["PANDERA_VALIDATION_DEPTH"] = "SCHEMA_AND_DATA"
STATUS = ["open", "paid", "sent", "gone"]
INTEGERS = ("id", "customer", "quantity", "cents")


def limits(kwargs: dict) -> tuple[float, float]:
    return kwargs["min_value"], kwargs["max_value"]


def polars_schema(of: dict):
    import pandera.polars as pa
    import polars as pl
    from pandera.polars import Check, Column

    def whole(name: str, expression):
        """Return a check of the whole frame: an expression with one boolean result."""
        return Check(lambda data: data.lazyframe.select(expression), name=name)

    def within(value, kwargs: dict):
        low, high = limits(kwargs)
        return (value >= low) & (value <= high)

    def share(name: str, failing, kwargs: dict):
        return whole(name, failing.mean() <= 1 - kwargs["mostly"])

    def present(name: str, column: str):
        return Check(lambda data: data.lazyframe.select(pl.col(column).is_not_null().all()),
                     name=name)  # fmt: skip

    columns = {
        "id": Column(pl.Int64, [
            Check.in_range(*limits(of["id_range"]), name="id_range"),
            whole("id_unique", pl.col("id").is_duplicated().any().not_()),
        ], nullable=True),
        "customer": Column(pl.Int64, [Check.in_range(0, 199999, name="customer_range")],
                           nullable=True),
        "quantity": Column(pl.Int64, [Check.in_range(1, 99, name="quantity_range")],
                           nullable=True),
        "cents": Column(pl.Int64, nullable=True),
        "weight": Column(pl.Float64, [Check.in_range(0, 200, name="weight_range")],
                         nullable=True),
        "score": Column(pl.Float64, [Check.in_range(-10, 10, name="score_range")], nullable=True),
        "status": Column(pl.String, [Check.isin(STATUS, name="status_set")], nullable=True),
        "town": Column(pl.String, [
            Check.str_matches(r"^town\d{3}$", name="town_form"),
            Check.str_length(7, 7, name="town_length"),
        ], nullable=True),
        "code": Column(pl.String, [Check.str_matches(r"^AB\d{8}$", name="code_form")],
                       nullable=True),
        "ordered_at": Column(pl.Datetime("us", "UTC"), nullable=True),
        "paid_at": Column(pl.Datetime("us", "UTC"), nullable=True),
        "gift": Column(pl.Boolean, nullable=True),
    }  # fmt: skip
    start, end = (pl.datetime(year, 1, 1, time_zone="UTC") for year in (2020, 2030))
    checks = [
        whole("rows", within(pl.len(), of["rows"])),
        *(present(f"{name}_present", name) for name in ("id", "customer", "gift")),
        whole("customer_count", within(pl.col("customer").n_unique(), of["customer_count"])),
        whole("quantity_mean", within(pl.col("quantity").mean(), of["quantity_mean"])),
        share("cents_range", pl.col("cents").is_between(0, 900000).not_(), of["cents_range"]),
        whole("cents_sum", within(pl.col("cents").sum(), of["cents_sum"])),
        share("weight_present", pl.col("weight").is_null(), of["weight_present"]),
        whole("weight_mean", within(pl.col("weight").mean(), of["weight_mean"])),
        whole("weight_stdev", within(pl.col("weight").std(), of["weight_stdev"])),
        whole("weight_median", within(pl.col("weight").median(), of["weight_median"])),
        whole("score_stdev", within(pl.col("score").std(), of["score_stdev"])),
        whole("status_values", pl.col("status").unique().is_in(STATUS).all()),
        whole("order_unique",
              pl.struct("customer", "ordered_at").is_duplicated().any().not_()),
        whole("paid_after", (pl.col("paid_at") >= pl.col("ordered_at")).all()),
        whole("ordered_first", pl.col("ordered_at").min() >= start),
        whole("ordered_last", pl.col("ordered_at").max() <= end),
        whole("paid_stated",
              ((pl.col("status") == "paid") & pl.col("paid_at").is_null()).any().not_()),
    ]  # fmt: skip
    return pa.DataFrameSchema(columns, checks=checks), pl.read_parquet


def pandas_schema(of: dict):
    import pandas as pd
    import pandera.pandas as pa
    from pandera.pandas import Check, Column

    def whole(name: str, truth):
        return Check(lambda frame: bool(truth(frame)), name=name)

    def within(value, kwargs: dict) -> bool:
        low, high = limits(kwargs)
        return low <= value <= high

    columns = {
        "id": Column("int64", [
            Check.in_range(*limits(of["id_range"]), name="id_range"),
            Check(lambda s: not s.duplicated().any(), name="id_unique"),
        ], nullable=True),
        "customer": Column("int64", [
            Check.in_range(0, 199999, name="customer_range"),
            Check(lambda s: within(s.nunique(), of["customer_count"]), name="customer_count"),
        ], nullable=True),
        "quantity": Column("int64", [
            Check.in_range(1, 99, name="quantity_range"),
            Check(lambda s: within(s.mean(), of["quantity_mean"]), name="quantity_mean"),
        ], nullable=True),
        "cents": Column("int64", [
            Check(lambda s: s.between(0, 900000).mean() >= of["cents_range"]["mostly"],
                  name="cents_range"),
            Check(lambda s: within(s.sum(), of["cents_sum"]), name="cents_sum"),
        ], nullable=True),
        "weight": Column("float64", [
            Check.in_range(0, 200, name="weight_range"),
            Check(lambda s: within(s.mean(), of["weight_mean"]), name="weight_mean"),
            Check(lambda s: within(s.std(), of["weight_stdev"]), name="weight_stdev"),
            Check(lambda s: within(s.median(), of["weight_median"]), name="weight_median"),
        ], nullable=True),
        "score": Column("float64", [
            Check.in_range(-10, 10, name="score_range"),
            Check(lambda s: within(s.std(), of["score_stdev"]), name="score_stdev"),
        ], nullable=True),
        "status": Column(None, [
            Check.isin(STATUS, name="status_set"),
            Check(lambda s: set(s.dropna().unique()) <= set(STATUS), name="status_values"),
        ], nullable=True),
        "town": Column(None, [
            Check.str_matches(r"^town\d{3}$", name="town_form"),
            Check.str_length(7, 7, name="town_length"),
        ], nullable=True),
        "code": Column(None, [Check.str_matches(r"^AB\d{8}$", name="code_form")], nullable=True),
        "ordered_at": Column(None, nullable=True),
        "paid_at": Column(None, nullable=True),
        "gift": Column("bool", nullable=True),
    }  # fmt: skip
    start, end = (pd.Timestamp(f"{year}-01-01", tz="UTC") for year in (2020, 2030))
    checks = [
        whole("rows", lambda f: within(len(f), of["rows"])),
        *(whole(f"{name}_present", lambda f, name=name: f[name].notna().all())
          for name in ("id", "customer", "gift")),
        whole("weight_present",
              lambda f: f["weight"].notna().mean() >= of["weight_present"]["mostly"]),
        whole("order_unique", lambda f: not f.duplicated(["customer", "ordered_at"]).any()),
        whole("paid_after", lambda f: not (f["paid_at"] < f["ordered_at"]).any()),
        whole("ordered_first", lambda f: f["ordered_at"].min() >= start),
        whole("ordered_last", lambda f: f["ordered_at"].max() <= end),
        whole("paid_stated",
              lambda f: not ((f["status"] == "paid") & f["paid_at"].isna()).any()),
    ]  # fmt: skip
    return pa.DataFrameSchema(columns, checks=checks), pd.read_parquet


def validate(form: str, path: str, checks: str) -> tuple[float, dict[str, bool]]:
    from pandera.errors import SchemaErrors

    asked = json.loads(Path(checks).read_text())
    of = {name: kwargs for name, _, kwargs in asked}
    schema, read = (polars_schema if form == "polars" else pandas_schema)(of)
    failed: set[str] = set()
    start = time.perf_counter()
    try:
        schema.validate(read(path), lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            name = getattr(error.check, "name", None)
            if name not in of:
                raise SystemExit(f"unexpected: {error}") from errors
            failed.add(name)
    seconds = time.perf_counter() - start
    return seconds, {name: name not in failed for name in of}


def main(form: str, path: str, small: str, small_checks: str, checks: str) -> None:
    validate(form, small, small_checks)
    seconds, verdicts = validate(form, path, checks)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rss_mb": rss, "verdicts": verdicts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
