"""Links in the metadata of a run: to a batch's report, and to the launchpad of each action."""

from collections.abc import Mapping, Sequence

from headrace.gates.report import report_url
from headrace.lake.slots import SlotResult
from headrace.links import action_url, asset_url, dagster_url

__all__ = ["action_links", "action_url", "asset_url", "dagster_url", "report_link"]

_REPOSITORY = ".dagster/repository"
# What there is to do, by whether the batch is held back.
_HELD = ("release", "reject", "rerun", "ack")
_SHOWN = ("recall", "quarantine", "mute")


def report_link(result: SlotResult) -> str:
    """The report on the batch that gave the slot its verdict; "" if none did."""
    return report_url(result.table, result.batch) if result.batch else ""


def action_links(result: SlotResult, location: str) -> str:
    """What may be done about the slot, as markdown: each opens a launchpad, filled in."""
    if not (result.batch and location):
        return ""
    offered: Sequence[str] = _HELD if result.state == "pending" else _SHOWN
    links = [
        f"[{action}]({action_url('', action, result.table, result.batch, location=location, slot=result.slot)})"  # noqa: E501
        for action in offered
    ]
    return " · ".join(links)


def location_of(tags: Mapping[str, str]) -> str:
    """The code location that a run belongs to, from its tags; "" outside one."""
    return tags.get(_REPOSITORY, "").partition("@")[2]
