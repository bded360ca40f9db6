"""The gate on the bank of real tables: `python -m bench.gate_bank [TABLE ...] [--json]`.

It is `headrace verify faults` with the section of the benchmarks page as its text.
"""

import argparse
import json

from bench.gate_bank.report import report
from headrace.verification.gate_bank.measure import BankRun, measured, selected
from headrace.verification.gate_bank.run import PLANTED_DAYS


def main() -> None:
    parser = argparse.ArgumentParser(description="The gate on real tables and injected faults.")
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument(
        "--planted", type=int, default=PLANTED_DAYS, help="days of a table to inject faults in"
    )
    parser.add_argument("--last", type=int, help="only the first n days of each table")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", action="store_true", help="all counts as JSON")
    options = parser.parse_args()
    tables = selected(options.tables)
    run = BankRun(planted=options.planted, last=options.last)
    document = measured(tables, run, options.jobs)
    print(json.dumps(document) if options.json else "\n".join(report(document)))


if __name__ == "__main__":
    main()
