"""Number of examples that the generated tests try: a quarter of them in a run without `slow`."""

_SHARE, _LEAST = 4, 6
_short = False


def shorten(*, short: bool) -> None:
    """Set before test modules load: they ask for their numbers as they do."""
    global _short  # noqa: PLW0603
    _short = short


def examples(count: int = 100) -> int:
    """The count, or a quarter of it in a short run; fewer than six are never made fewer."""
    return max(min(count, _LEAST), count // _SHARE) if _short else count
