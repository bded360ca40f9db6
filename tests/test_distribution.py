"""The order in which workers take tests up names what is there."""

from pathlib import Path

import pytest

from tests.distribution import FIRST, TOGETHER, scope, turn

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("start", sorted({*FIRST, *TOGETHER}))
def test_what_is_named_is_there(start):
    assert list(ROOT.glob(f"{start}*"))


def test_a_file_or_a_folder_is_for_one_worker():
    assert scope("tests/lake/test_files.py::test_a[::]") == "tests/lake/test_files.py"
    assert scope("tests/reports/test_report_page.py::test_a") == "tests/reports"
    assert scope("tests/gates/test_gx_document.py::test_a") == "tests/gates/test_gx"
    starts = [turn(f"{start}/test_x.py::test_a") for start in FIRST]
    assert starts == sorted(starts)
    assert turn("tests/test_zones.py::test_a") == len(FIRST)
