"""Channels for reaching the owner of a table, from the `support` entries of its contract."""

from headrace.contracts.model import Contract
from headrace.core.declarations.strict_yaml import read_document


def support_channels(contract: Contract) -> tuple[tuple[str, str], ...]:
    """Read the contract file and return its (channel, address or "") pairs, in file order."""
    listed = read_document(contract.path).value.get("support") or []
    return tuple(
        (str(entry["channel"]), str(entry.get("url") or ""))
        for entry in listed
        if isinstance(entry, dict) and entry.get("channel")
    )
