"""Addresses of report pages, for links from elsewhere."""

import os
from urllib.parse import quote, urlencode

from headrace.web.dagster_links import addresses

HOST, PORT = "127.0.0.1", 3070


def reports_url() -> str:
    """Return the pages' address: `HEADRACE_REPORTS_URL`, else the last one of `headrace ui`."""
    url = os.environ.get("HEADRACE_REPORTS_URL") or addresses().get("reports")
    return (url or f"http://{HOST}:{PORT}").rstrip("/")


def report_url(table: str, batch_id: str) -> str:
    """Return the page of one batch of a table."""
    return f"{reports_url()}/batch/{quote(table, safe='')}/{quote(batch_id, safe='')}"


def decide_url(table: str, batch_id: str) -> str:
    """Return the part of that page for approving, rejecting or acknowledging."""
    return f"{report_url(table, batch_id)}#act"


def table_url(table: str) -> str:
    """Return the list of a table: batches that wait or did not pass, and missing days."""
    return f"{reports_url()}/?{urlencode({'table': table})}"


def monitor_url(name: str) -> str:
    """Return the page of a monitor."""
    return f"{reports_url()}/monitor/{quote(name, safe='')}"
