"""The outside world of the flights pipeline: its deliveries, and the feed that serves some of them.

It plays the part of the airport, so the pipeline reads its deliveries and shares no code with it.
"""

from demo.flights.feed_server import FeedServer
from demo.flights.make import Summary, make_deliveries
from demo.flights.recount import count_raw

__all__ = ["FeedServer", "Summary", "count_raw", "make_deliveries"]
