"""Verdicts of the gate on the bank: `python -m bench.gate_bank [--every 10] [TABLE ...]`.

Prints one JSON document a table: verdicts of its clean days, and of faults planted in some of them.
"""

import argparse
import json

from bench.gate_bank.run import evaluate
from bench.gate_bank.tables import BANK


def main() -> None:
    parser = argparse.ArgumentParser(description="The gate on real tables and planted faults.")
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument("--every", type=int, default=0, help="plant faults in every n-th day")
    parser.add_argument("--last", type=int, help="only the first n days")
    options = parser.parse_args()
    for table in BANK:
        if not options.tables or table.name in options.tables:
            outcome = evaluate(table, every=options.every, last=options.last)
            print(json.dumps(outcome.as_json()), flush=True)


if __name__ == "__main__":
    main()
