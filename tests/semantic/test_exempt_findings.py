"""An exempt finding explains nothing: what it would hide is reported."""

from dataclasses import replace

import pyarrow as pa
import pytest

from headrace.contracts.drift import examine
from tests.semantic import rides

DAY = 20


def seen(rows=rides.ROWS, warmer=30.0):
    delivered = rides.rides(DAY, rows)
    table = delivered.table
    degrees = [f"{float(x) + warmer:.1f}" for x in table["degrees"].to_pylist()]
    at = table.schema.get_field_index("degrees")
    table = table.set_column(at, "degrees", pa.array(degrees))
    return rides.seen(DAY, replace(delivered, table=table))[0]


def names(findings):
    return [(f.kind, f.columns, f.evidence.get("statistic")) for f in findings]


def test_an_exempt_statistic_does_not_hide_others_of_its_column():
    reference = rides.past(DAY)
    usual = examine(seen(), reference)
    (reported,) = usual.findings
    hidden = {f.evidence["statistic"] for f in usual.explained}
    assert {reported.evidence["statistic"], *hidden} == {"low", "middle", "high"}

    first = examine(seen(), reference, exempt=lambda f: f == reported)
    assert reported in first.findings
    assert len(first.findings) == 2
    assert {*names(first.findings), *names(first.explained)} == {
        *names(usual.findings),
        *names(usual.explained),
    }
    everything = examine(seen(), reference, exempt=lambda _: True)
    assert len(everything.findings) == 3
    assert everything.explained == ()


@pytest.mark.parametrize(("rows", "kind"), [(20, "truncation"), (80, "missing_hours")])
def test_an_exempt_finding_of_the_batch_does_not_hide_its_columns(rows, kind):
    reference, look = rides.past(DAY), seen(rows=rows)
    usual = examine(look, reference)
    assert {f.kind for f in usual.findings} == {kind}
    hidden = [f for f in usual.explained if f.columns == ("degrees",)]
    assert hidden
    exempt = examine(look, reference, exempt=lambda f: f.kind == kind)
    assert ("far_from_usual", ("degrees",)) in [(f.kind, f.columns) for f in exempt.findings]


def test_without_findings_nothing_is_explained():
    examination = examine(seen(warmer=0.0), rides.past(DAY))
    assert (examination.findings, examination.explained) == ((), ())
