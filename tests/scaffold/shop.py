"""Orders of a made-up shop, as a CSV that a team might have: local times, odd headers, gaps."""

import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

from headrace.scaffold import Ask

HEADER = ["Order ID", "customer_id", "ordered_at", "amount", "channel", "Delivery Note"]
DAYS = 60


def orders(path: Path, *, days: int = DAYS) -> Path:
    chance = random.Random(7)
    start = datetime.fromisoformat("2024-03-01")
    with path.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(HEADER)
        number = 0
        for day in range(days):
            for customer in range(8):
                number += 1
                moment = start + timedelta(days=day, minutes=chance.randrange(24 * 60), seconds=7)
                amount = "NA" if chance.random() < 0.05 else f"{chance.uniform(1, 90):.2f}"
                note = 'leave it with\nthe "neighbour"' if number % 50 == 0 else ""
                channel = chance.choice(["web", "shop", "phone"])
                rows.writerow([f"{number:06}", f"c{customer}", moment, amount, channel, note])
    return path


def ask(path: Path, **more) -> Ask:
    given = {"time": "ordered_at", "key": ("Order ID",), "entity": ("customer_id",)}
    return Ask(path, **{**given, "zone": "Europe/Berlin", "known_after": "10m", **more})
