"""An error in any YAML file of a project names the file and the line."""

import re

import pytest

from headrace.alerts.config import load_config
from headrace.contracts import load_contract
from headrace.core.declarations.yaml_lines import located
from headrace.core.errors import DeclarationError
from headrace.core.permissions import load_policy
from headrace.datasets.card.statement import load_card
from headrace.gates import read_suite
from headrace.monitoring.decisions.policy import load_policy as load_monitors
from tests.lake.kit import CONTRACT, SUITE

POLICY = "version: 1\nprincipals:\n  ana:\n    actions: [ack]\n    table: all\n"
MONITORS = "version: 1\nhysteresis: 2\ndetection:\n  spread: 3.0\n  spreads: 3.0\n"
ALERTS = "version: 1\nquiet:\n  - verdicts: [WARN]\n    who: ana\n"
CARD = "version: 1\nstatements:\n  - a\n"
TYPED = CONTRACT.lstrip("\n")
GOOD = SUITE.replace("LIMIT", "1000").replace("VERSION", "1").lstrip("\n")


@pytest.mark.parametrize(
    ("load", "text", "line"),
    [
        (load_policy, POLICY, 5),
        (load_policy, POLICY.replace("[ack]", "[ack, sleep]").replace("table:", "tables:"), 4),
        (load_policy, "version: 1\nprincipals:\n  ana: {actions: all}\n  ana: {actions: all}\n", 4),
        (load_policy, "version: 1\nprincipals:\n  ana: [ack\n  eve: x\n", 4),
        (load_monitors, MONITORS, 5),
        (load_monitors, "version: 1\nhysteresis: two\n", 2),
        (load_monitors, "version: 1\nhysteresis: [\n\n", 4),
        (load_config, "version: 1\nrouts: []\n", 2),
        (load_card, CARD, 3),
        (load_contract, TYPED.replace("logicalType: integer", "logicalTyp: x", 1), 13),
        (load_contract, TYPED.replace("value: 11", "value: eleven"), 22),
        (read_suite, GOOD.replace("kwargs: {column: value, min_value: 0}", "kwarg: {}"), 8),
        (read_suite, GOOD.replace("name: test.meter", "nam: test.meter"), 1),
        (read_suite, GOOD.replace("action: block", "action: stop"), 7),
        (read_suite, GOOD.replace("table: meter, ", "table: meter, \t- "), 2),
    ],
)
def test_the_line_is_named(tmp_path, load, text, line):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as refused:
        load(path)
    where = refused.value.where
    assert where.startswith(str(path))
    assert re.search(r", line (\d+)", where)[1] == str(line), refused.value


def test_a_place_that_is_not_there_is_told_as_far_as_it_is(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text("a:\n  - name: first\n    b: 1\n  - name: second\n    b: 2\n")
    assert located(path, "a[second].b") == "a[second].b, line 5"
    assert located(path, "a[1].c") == "a[1].c, line 4"
    assert located(path, "a[0]", "b") == "a[0], line 3"
    assert located(tmp_path / "none.yaml", "a") == "a"
