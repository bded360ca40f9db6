"""Soda Core on DuckDB, in its own environment: `python gates_soda.py FORM FILE ROWS SMALL CHECKS`.

FORM is `view` (every query reads the file) or `table` (the file is first loaded, within the
measured time). Every check is one of Soda's own types if there is one, else a SQL expression.
CHECKS is a JSON file of (id, type, kwargs). Prints JSON like the other sides.
"""

import json
import resource
import sys
import time
from pathlib import Path

import duckdb
from soda_core.common.yaml import ContractYamlSource
from soda_core.contracts.contract_verification import ContractVerificationSession
from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

STATUS = ["open", "paid", "sent", "gone"]


def between(kwargs: dict) -> dict:
    found = {}
    if "min_value" in kwargs:
        found["greater_than_or_equal"] = kwargs["min_value"]
    if "max_value" in kwargs:
        found["less_than_or_equal"] = kwargs["max_value"]
    return {"must_be_between": found}


def contract(checks: list) -> dict:
    of = {name: kwargs for name, _, kwargs in checks}
    # Soda gives the share of failing rows in percent of all rows.
    lengths = {"valid_min_length": 7, "valid_max_length": 7}
    columns: dict[str, list] = {
        "id": [
            {"missing": {"name": "id_present"}},
            {"duplicate": {"name": "id_unique"}},
            {"invalid": {"name": "id_range", "valid_min": 0,
                         "valid_max": of["id_range"]["max_value"]}},
        ],
        "customer": [
            {"missing": {"name": "customer_present"}},
            {"invalid": {"name": "customer_range", "valid_min": 0, "valid_max": 199999}},
            {"metric": {"name": "customer_count", "expression": "COUNT(DISTINCT customer)",
                        "threshold": between(of["customer_count"])}},
        ],
        "quantity": [
            {"invalid": {"name": "quantity_range", "valid_min": 1, "valid_max": 99}},
            {"aggregate": {"name": "quantity_mean", "function": "avg",
                           "threshold": between(of["quantity_mean"])}},
        ],
        "cents": [
            {"invalid": {"name": "cents_range", "valid_min": 0, "valid_max": 900000,
                         "threshold": {"metric": "percent", "must_be_less_than_or_equal": 15}}},
            {"aggregate": {"name": "cents_sum", "function": "sum",
                           "threshold": between(of["cents_sum"])}},
        ],
        "weight": [
            {"missing": {"name": "weight_present", "threshold": {
                "metric": "percent", "must_be_less_than_or_equal": 5}}},
            {"invalid": {"name": "weight_range", "valid_min": 0, "valid_max": 200}},
            {"aggregate": {"name": "weight_mean", "function": "avg",
                           "threshold": between(of["weight_mean"])}},
            {"metric": {"name": "weight_stdev", "expression": "STDDEV_SAMP(weight)",
                        "qualifier": "stdev", "threshold": between(of["weight_stdev"])}},
            {"metric": {"name": "weight_median", "expression": "MEDIAN(weight)",
                        "qualifier": "median", "threshold": between(of["weight_median"])}},
        ],
        "score": [
            {"invalid": {"name": "score_range", "valid_min": -10, "valid_max": 10}},
            {"metric": {"name": "score_stdev", "expression": "STDDEV_SAMP(score)",
                        "threshold": between(of["score_stdev"])}},
        ],
        "status": [
            {"invalid": {"name": "status_set", "valid_values": STATUS}},
            {"metric": {"name": "status_values", "qualifier": "values",
                        "expression": "COUNT(DISTINCT CASE WHEN status NOT IN ("
                        + ", ".join(f"'{value}'" for value in STATUS) + ") THEN status END)",
                        "threshold": {"must_be": 0}}},
        ],
        "town": [
            {"invalid": {"name": "town_form", "qualifier": "form",
                         "valid_format": {"name": "town", "regex": "^town\\d{3}$"}}},
            {"invalid": {"name": "town_length", "qualifier": "length", **lengths}},
        ],
        "code": [
            {"invalid": {"name": "code_form",
                         "valid_format": {"name": "code", "regex": "^AB\\d{8}$"}}},
        ],
        "ordered_at": [
            {"failed_rows": {"name": "ordered_first", "qualifier": "first",
                             "expression": "ordered_at < TIMESTAMPTZ '2020-01-01T00:00:00Z'"}},
            {"failed_rows": {"name": "ordered_last", "qualifier": "last",
                             "expression": "ordered_at > TIMESTAMPTZ '2030-01-01T00:00:00Z'"}},
        ],
        "paid_at": [
            {"missing": {"name": "paid_stated", "filter": "status = 'paid'"}},
        ],
        "gift": [{"missing": {"name": "gift_present"}}],
    }  # fmt: skip
    return {
        "dataset": "bench/main/orders",
        "columns": [{"name": name, "checks": listed} for name, listed in columns.items()],
        "checks": [
            {"schema": {"name": "columns", "allow_extra_columns": True,
                        "allow_other_column_order": True}},
            {"row_count": {"name": "rows", "threshold": {"must_be": of["rows"]["min_value"]}}},
            {"duplicate": {"name": "order_unique", "columns": ["customer", "ordered_at"]}},
            {"failed_rows": {"name": "paid_after", "expression": "paid_at < ordered_at"}},
        ],
    }  # fmt: skip


def verify(form: str, path: str, document: str) -> dict[str, bool]:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(f"CREATE {form} orders AS SELECT * FROM read_parquet('{path}')")
    source = DuckDBDataSourceImpl.from_existing_cursor(connection, "bench")
    session = ContractVerificationSession.execute(
        contract_yaml_sources=[ContractYamlSource.from_str(document)],
        data_source_impls=[source],
    )
    found = {}
    for result in session.contract_verification_results[0].check_results:
        outcome = result.outcome.name
        if outcome not in {"PASSED", "FAILED"}:
            raise SystemExit(f"{result.check.name}: {outcome}\n{session.get_errors_str()}")
        found[result.check.name] = outcome == "PASSED"
    connection.close()
    return found


def main(form: str, path: str, small: str, small_checks: str, checks: str) -> None:
    document = json.dumps(contract(json.loads(Path(small_checks).read_text())))
    verify(form, small, document)
    document = json.dumps(contract(json.loads(Path(checks).read_text())))
    start = time.perf_counter()
    verdicts = verify(form, path, document)
    seconds = time.perf_counter() - start
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rss_mb": rss, "verdicts": verdicts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
