"""The gate on the bank of real tables: `python -m bench.gate_bank [TABLE ...] [--json]`.

Prints how many injected faults were stopped and named rightly, and how many clean days raised a
false alarm. Tables on which no threshold was chosen are reported separately.
"""

import argparse
import json

from bench.gate_bank.report import report
from headrace.verification.gate_bank.measure import TABLES, measured
from headrace.verification.gate_bank.run import PLANTED_DAYS


def main() -> None:
    parser = argparse.ArgumentParser(description="The gate on real tables and planted faults.")
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument(
        "--planted", type=int, default=PLANTED_DAYS, help="days of a table to plant faults in"
    )
    parser.add_argument("--last", type=int, help="only the first n days of each table")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", action="store_true", help="all counts as JSON")
    options = parser.parse_args()
    tables = [t for t in TABLES if not options.tables or t.name in options.tables]
    document = measured(tables, options.planted, options.last, options.jobs)
    print(json.dumps(document) if options.json else "\n".join(report(document)))


if __name__ == "__main__":
    main()
