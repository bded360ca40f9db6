"""URLs of report pages, for links from other pages and messages."""

import os
from urllib.parse import quote, urlencode

from headrace.web.dagster_links import addresses

HOST, PORT = "127.0.0.1", 3070


def reports_url() -> str:
    """Return the pages' base URL: `HEADRACE_REPORTS_URL`, else that last used by `headrace ui`."""
    url = os.environ.get("HEADRACE_REPORTS_URL") or addresses().get("reports")
    return (url or f"http://{HOST}:{PORT}").rstrip("/")


def report_url(table: str, batch_id: str) -> str:
    """Return the URL of a batch's page."""
    return f"{reports_url()}/batch/{quote(table, safe='')}/{quote(batch_id, safe='')}"


def decide_url(table: str, batch_id: str) -> str:
    """Return the URL of the form on that page to approve, reject or acknowledge the batch."""
    return f"{report_url(table, batch_id)}#act"


def table_url(table: str) -> str:
    """Return the URL of a table's list: pending and failed batches, and missing days."""
    return f"{reports_url()}/?{urlencode({'table': table})}"


def monitor_url(name: str) -> str:
    """Return the URL of a monitor's page."""
    return f"{reports_url()}/monitor/{quote(name, safe='')}"
