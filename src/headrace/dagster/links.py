"""Links from a run's metadata to the report page of a batch, where a person can also decide."""

from headrace.lake.ledger.partition_state import SlotResult
from headrace.web.dagster_links import action_url, asset_url, dagster_url
from headrace.web.report_address import decide_url, report_url

__all__ = ["action_url", "asset_url", "dagster_url", "decide_link", "report_link"]


def report_link(result: SlotResult) -> str:
    """Return the URL of the report of the batch behind a result; "" if there is no batch."""
    return report_url(result.table, result.batch) if result.batch else ""


def decide_link(result: SlotResult) -> str:
    """Return the URL of the report's form to approve, reject or acknowledge; "" without a batch."""
    return decide_url(result.table, result.batch) if result.batch else ""
