"""Run the feed by itself: `python -m demo.flights.server --folder FOLDER`."""

import argparse
from contextlib import suppress
from pathlib import Path

from demo.flights.feed_server import FeedServer

PORT = 8013


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the airport's feed on 127.0.0.1.")
    parser.add_argument("--folder", type=Path, required=True, help="folder of deliveries")
    parser.add_argument("--port", type=int, default=PORT, help=f"0 takes a free one ({PORT})")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt), FeedServer(options.folder, options.port) as server:
        print(f"feed of {options.folder} at {server.url}", flush=True)  # noqa: T201
        server.wait()


if __name__ == "__main__":
    main()
