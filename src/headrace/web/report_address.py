"""Where reports are served: one place for the addresses that others link to."""

import os
from urllib.parse import quote, urlencode

from headrace.web.dagster_links import addresses

HOST, PORT = "127.0.0.1", 3070


def reports_url() -> str:
    """The address of the pages: `HEADRACE_REPORTS_URL`, else where `headrace ui` served last."""
    found = os.environ.get("HEADRACE_REPORTS_URL") or addresses().get("reports")
    return (found or f"http://{HOST}:{PORT}").rstrip("/")


def report_url(table: str, batch_id: str) -> str:
    """The page of one batch of a table."""
    return f"{reports_url()}/batch/{quote(table, safe='')}/{quote(batch_id, safe='')}"


def decide_url(table: str, batch_id: str) -> str:
    """The part of that page where a person approves, rejects or acknowledges."""
    return f"{report_url(table, batch_id)}#act"


def table_url(table: str) -> str:
    """The list of a table: batches that wait, batches that did not pass, days that are missing."""
    return f"{reports_url()}/?{urlencode({'table': table})}"


def monitor_url(name: str) -> str:
    """The page of a monitor."""
    return f"{reports_url()}/monitor/{quote(name, safe='')}"
