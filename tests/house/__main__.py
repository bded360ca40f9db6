"""Figures of the source: `python -m tests.house [--json | --tighten | --list KIND [PATH]]`."""

import argparse
import json
import sys

from tests.house import figures, limits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--tighten", action="store_true", help="lower the limits to the figures")
    parser.add_argument(
        "--list",
        nargs="+",
        metavar=("KIND", "PATH"),
        help="print file:line: name of a kind under a path: vague, generic, openings,"
        " duplicates, exceptions, docs, docstrings, messages, templates",
    )
    options = parser.parse_args()
    survey = figures.survey()
    if options.list:
        kind, *paths = options.list
        places = survey.places(kind)
        lines = [str(place) for place in places if place.file.startswith(tuple(paths) or "")]
    elif options.tighten:
        lines = limits.tighten(survey)
    elif options.json:
        lines = [json.dumps(survey.as_json(), indent=1)]
    else:
        lines = table(survey)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def table(survey: figures.Survey) -> list[str]:
    """Return the figures, their limits, and the counts of each room."""
    report = survey.as_json()
    details = report.pop("details")
    allowed = limits.read()
    columns = ["lines", "bindings", "vague", "openings", "duplicates"]
    columns += ["docstrings", "messages", "templates"]
    return [
        *(f"{name:24} {figure}" for name, figure in report.items()),
        "",
        *(
            f"{name:24} {count:6} (limit {allowed[name]})"
            for name, count in survey.counts().items()
        ),
        "",
        f"{'':16}" + "".join(f"{column:>12}" for column in columns),
        *(
            f"{room:16}" + "".join(f"{counts.get(column, 0):12}" for column in columns)
            for room, counts in details["rooms"].items()
        ),
    ]


if __name__ == "__main__":
    main()
