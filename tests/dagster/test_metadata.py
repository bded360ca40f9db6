"""What people read: short, worst first, safe to render."""

import base64
import re
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from headrace.dagster import metadata
from headrace.dagster.checks.day_plot import day_plot
from headrace.lake.ledger.partition_state import SlotResult


def result(slot, verdict, state="published", **more):
    return SlotResult("visits", slot, state, verdict, **more)


DAYS = [
    result("2024-03-01", "PASS", delivered=3, published=3),
    result("2024-03-02", "QUARANTINE", delivered=3, published=2, quarantined=1, reasons=("a|b",)),
    result("2024-03-03", "MISSING", "missing"),
    result("2024-03-04", "BLOCK", "pending", delivered=1, pending=1, reasons=("too\nfew",)),
]


def test_the_worst_day_comes_first_and_passing_days_are_not_listed():
    rows = metadata.day_table(DAYS).splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [
        "2024-03-04", "2024-03-03", "2024-03-02",
    ]  # fmt: skip


def test_cells_cannot_break_the_table():
    table = metadata.day_table(DAYS)
    assert "a\\|b" in table
    assert "too few" in table


def test_a_long_list_ends_in_how_many_more():
    days = [result(f"day {n:03}", "BLOCK", "pending") for n in range(metadata.LISTED + 7)]
    assert metadata.day_table(days).endswith("and 7 more")


def test_all_passed_says_so():
    assert metadata.day_table(DAYS[:1]) == "All 1 passed."


@pytest.mark.parametrize(
    ("state", "verdict", "expected"),
    [
        ("published", "PASS", False),
        ("published", "WARN", False),
        ("published", "QUARANTINE", False),
        ("missing", "MISSING", False),
        ("not_expected", "NOT_EXPECTED", False),
        ("pending", "BLOCK", True),
        ("pending", "ERROR", True),
        ("failed", "ERROR", True),
    ],
)
def test_what_stops_a_run(state, verdict, expected):
    assert metadata.stopped(result("2024-03-01", verdict, state)) is expected


def test_counts_are_worst_first():
    assert metadata.counted(DAYS) == "1 BLOCK, 1 MISSING, 1 QUARANTINE, 1 PASS"


def test_plots_are_whole_and_well_formed():
    picture = day_plot([result("<a&b>", "PASS", delivered=3), *DAYS], "rows")
    data = re.fullmatch(r"!\[rows\]\(data:image/svg\+xml;base64,(.+)\)", picture)
    root = ET.fromstring(base64.b64decode(data[1]))
    assert len(root.findall(".//{*}rect")) == 1 + 5


def test_a_plot_of_nothing_is_a_plot():
    assert day_plot([], "rows").startswith("![rows]")


def test_plain_values_become_metadata():
    found = metadata.built({"rows": 3, "share": 0.5, "ref": "a@1", "table": {"md": "| a |"}})
    assert found["rows"] == 3
    assert found["table"] == dg.MetadataValue.md("| a |")
