"""Rows of the table `calls` of the bank, made up: a call centre, twelve rows a day."""


def calls(days):
    """Rows of so many days, with more calls at noon."""
    return [
        {
            "DateTime": f"2003-{3 + day // 28:02d}-{day % 28 + 1:02d}T{hour:02d}:00:00Z",
            "Calls": str(100 + 20 * (6 - abs(hour - 14)) + (day * 7 + hour * 3) % 11),
        }
        for day in range(days)
        for hour in range(8, 20)
    ]
