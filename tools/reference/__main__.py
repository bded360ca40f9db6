"""Write the generated pages: `python -m tools.reference [--check]`."""

import argparse
import sys

from tools.reference.pages import stale, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a page would change"
    )
    if parser.parse_args().check:
        pages = stale()
        sys.exit(f"{', '.join(pages)}: run python -m tools.reference" if pages else 0)
    write()


if __name__ == "__main__":
    main()
