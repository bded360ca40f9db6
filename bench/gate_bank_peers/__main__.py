"""Other tools on the days and faults of the gate's bank: `python -m bench.gate_bank_peers`.

Prints, for Headrace and for every peer, how many injected faults were stopped, how many headlines
name the right column, and how many clean days raised an alarm, on the tables that no threshold of
Headrace was chosen on.
"""

import argparse
import json
from pathlib import Path

from bench.gate_bank_peers.measure import PLANTED_DAYS, SCRIPTS, measured
from bench.gate_bank_peers.report import report
from headrace.verification.gate_bank.measure import TABLES


def main() -> None:
    parser = argparse.ArgumentParser(description="Peers of the gate on real tables.")
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument(
        "--planted", type=int, default=PLANTED_DAYS, help="days of a table to plant faults in"
    )
    parser.add_argument("--folder", type=Path, help="folder for the scores of each table; tables"
                        " whose scores are there are not measured again")  # fmt: skip
    text = "validate a table of the folder again with the present gate"
    parser.add_argument("--renew", action="append", default=[], metavar="TABLE", help=text)
    text = "do not run peers in environments of their own; use their answers in the folder"
    parser.add_argument("--stored", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="all counts as JSON")
    options = parser.parse_args()
    tables = [t for t in TABLES if not options.tables or t.name in options.tables]
    environments = () if options.stored else tuple(SCRIPTS)
    document = measured(tables, options.planted, options.folder, environments, options.renew)
    print(json.dumps(document) if options.json else "\n".join(report(document)))


if __name__ == "__main__":
    main()
