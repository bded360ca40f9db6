"""`headrace`: every front door that is not a browser."""

from headrace.cli.app import main

__all__ = ["main"]
