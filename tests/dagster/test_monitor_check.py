"""The monitors as assets: one check says how they stand, and links lead to the report."""

from types import SimpleNamespace

import dagster as dg
import pytest

from headrace.dagster import build_resources, flow
from tests.dagster.shop_pipeline import shop_pipeline

REPORT = "http://127.0.0.1:3070/monitor/shop"


@pytest.mark.parametrize(
    ("state", "passed", "severity"),
    [
        ("well", True, dg.AssetCheckSeverity.WARN),
        ("watch", False, dg.AssetCheckSeverity.WARN),
        ("open", False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_the_check_says_how_the_monitor_stands(state, passed, severity, tmp_path, monkeypatch):
    import headrace.operations.monitor_run
    import headrace.reports.monitor.facts

    standing = SimpleNamespace(
        state=state, sentence=f"it is {state}", metadata={"report": {"url": REPORT}, "open": 1}
    )
    done = SimpleNamespace(metadata={"plots": {"md": "*x*"}}, changed=True)
    monkeypatch.setattr(
        headrace.reports.monitor.facts, "monitor_standing", lambda pipeline, home: standing
    )
    monkeypatch.setattr(
        headrace.operations.monitor_run, "run_monitors", lambda pipeline, home, context: done
    )
    pipeline = shop_pipeline(tmp_path)
    resources = build_resources(pipeline, lambda: tmp_path)
    assets = flow(pipeline, lambda: tmp_path).monitors
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([assets], instance=instance, resources=resources)
    assert run.success  # a check that does not pass stops nothing
    (check,) = run.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.severity) == ("monitor", passed, severity)
    assert check.description == f"it is {state}"
    made = run.asset_materializations_for_node("monitoring__shop__monitors")
    assert [one.asset_key.path[-1] for one in made] == ["profiles", "drift", "decision"]
    assert {one.metadata["report"].value for one in made} == {REPORT}
