"""Links in the metadata of a run to the page of a batch, where a person can also decide."""

from headrace.lake.ledger.partition_state import SlotResult
from headrace.web.dagster_links import action_url, asset_url, dagster_url
from headrace.web.report_address import decide_url, report_url

__all__ = ["action_url", "asset_url", "dagster_url", "decide_link", "report_link"]


def report_link(result: SlotResult) -> str:
    """Return the page of the batch that gave the slot its verdict; "" if there is none."""
    return report_url(result.table, result.batch) if result.batch else ""


def decide_link(result: SlotResult) -> str:
    """Return the part of that page where a person approves, rejects or acknowledges."""
    return decide_url(result.table, result.batch) if result.batch else ""
