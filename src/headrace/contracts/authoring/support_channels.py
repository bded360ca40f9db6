"""Where the owner of a table can be reached: the contract's `support` channels."""

from headrace.contracts.model import Contract
from headrace.core.strict_yaml import read_document


def support_channels(contract: Contract) -> tuple[tuple[str, str], ...]:
    """(channel, its address or ""), as the contract lists them; it is read again each time."""
    listed = read_document(contract.path).value.get("support") or []
    return tuple(
        (str(entry["channel"]), str(entry.get("url") or ""))
        for entry in listed
        if isinstance(entry, dict) and entry.get("channel")
    )
