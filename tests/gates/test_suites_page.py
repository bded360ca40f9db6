"""docs/reference/suites.md is true: its examples are suites."""

import re
from pathlib import Path

import pytest
import yaml

from headrace.contracts import load_contract
from headrace.gates import parse_suite
from headrace.gates.suite_reader import fitted

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "suites.md"


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_the_examples_fit_the_contract(text) -> None:
    given = yaml.safe_load(text)
    if isinstance(given, list):
        given = {"name": "example", "meta": {"table": "schedule"}, "expectations": given}
    table = given["meta"]["table"]
    contract = load_contract(ROOT / f"pipelines/flights/contracts/{table}.yaml")
    assert fitted(parse_suite(given), contract).faults == ()
