"""Maintenance as a job: what a run left goes, what a release needs stays."""

import os

from shop_pipeline import deliver_all

from headrace.core.clock import DAY, now_us
from headrace.dagster.execute import ingest_due


def test_the_job_takes_away_what_nothing_needs(defs, pipeline, home, folder, instance):
    deliver_all(folder)
    ingest_due(defs, pipeline, home, instance)
    old, young = (home.staged / "visits" / f"{name}.parquet" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"left")
    month_ago = (now_us() - 30 * DAY) / 1e6
    os.utime(old, (month_ago, month_ago))
    done = defs.resolve_job_def("maintain").execute_in_process(instance=instance)
    assert done.success
    assert (old.exists(), young.exists()) == (False, True)
    schedule = defs.resolve_schedule_def("nightly_maintenance")
    assert schedule.job_name == "maintain"
