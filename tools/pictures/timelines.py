"""Draw the time lines of docs/reference/feature-semantics.md: `python -m tools.pictures.timelines`.

Each time line has a few lanes over one axis of hours. A test checks that the committed files are
equal to the output of this module.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH, LEFT, RIGHT, LANE, TOP = 800, 170, 30, 46, 50
INK, FAINT, BLUE, ORANGE, GREEN, RED = (
    "#24292f", "#8c959f", "#0969da", "#bc4c00", "#1a7f37", "#cf222e",
)  # fmt: skip
BAND = "#ddf4ff"


@dataclass
class Picture:
    """Picture with lanes over the hours `first` to `last`; `lanes` are their names from the top."""

    title: str
    first: float
    last: float
    lanes: tuple[str, ...]
    parts: list[str] = field(default_factory=list)

    @property
    def height(self) -> int:
        return TOP + LANE * len(self.lanes) + 44

    def x(self, hour: float) -> float:
        return LEFT + (hour - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, lane: int) -> float:
        return TOP + LANE * lane + LANE / 2

    def text(
        self, x: float, y: float, words: str, colour: str = INK, anchor: str = "middle"
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def line(  # noqa: PLR0917 - four coordinates
        self, x1: float, y1: float, x2: float, y2: float, colour: str = FAINT, style: str = ""
    ) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}" {style}/>'
        )

    def event(self, lane: int, hour: float, words: str = "", colour: str = BLUE) -> None:
        """Draw a dot at the time of an event."""
        self.parts.append(
            f'<circle cx="{self.x(hour):.1f}" cy="{self.y(lane):.1f}" r="6" fill="{colour}"/>'
        )
        self.text(self.x(hour), self.y(lane) - 11, words, colour)

    def known(self, lane: int, hour: float, words: str = "", colour: str = ORANGE) -> None:
        """Draw a diamond at the time from which a row is known."""
        x, y = self.x(hour), self.y(lane)
        self.parts.append(
            f'<path d="M{x:.1f} {y - 7:.1f} l7 7 l-7 7 l-7 -7 z" fill="#fff" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        self.text(x, y - 11, words, colour)

    def bar(
        self, lane: int, start: float, end: float, words: str = "", colour: str = GREEN
    ) -> None:
        """Draw a span that includes its start and excludes its end."""
        x, y, width = self.x(start), self.y(lane), self.x(end) - self.x(start)
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y - 6:.1f}" width="{width:.1f}" height="12" fill="{colour}" '
            'fill-opacity="0.25"/>'
        )
        self.line(x, y - 9, x, y + 9, colour, 'stroke-width="3"')
        self.line(x + width, y - 9, x + width, y + 9, colour, 'stroke-dasharray="3 2"')
        self.text(x + width / 2, y - 11, words, colour)

    def link(self, lane: int, start: float, end: float) -> None:
        self.line(self.x(start), self.y(lane), self.x(end), self.y(lane), FAINT, 'stroke-width="2"')

    def band(self, start: float, end: float, words: str) -> None:
        """Draw a window [start, end) over all lanes."""
        x, width = self.x(start), self.x(end) - self.x(start)
        high = LANE * len(self.lanes) + 6
        self.parts.insert(
            0,
            f'<rect x="{x:.1f}" y="{TOP - 6}" width="{width:.1f}" height="{high}" fill="{BAND}"/>',
        )
        self.line(x, TOP - 6, x, TOP - 6 + high, BLUE, 'stroke-width="2"')
        self.line(x + width, TOP - 6, x + width, TOP - 6 + high, BLUE, 'stroke-dasharray="4 3"')
        self.text(x + width / 2, self.height - 8, words, BLUE)

    def now(self, hour: float, words: str, colour: str = INK) -> None:
        """Draw a prediction time, or a cutoff."""
        x = self.x(hour)
        self.line(x, TOP - 12, x, TOP + LANE * len(self.lanes), colour, 'stroke-width="2"')
        self.text(x, TOP - 17, words, colour)

    def note(self, lane: int, hour: float, words: str, colour: str = INK) -> None:
        """Write a text on a lane, over its line."""
        self.text(self.x(hour), self.y(lane) + 4, words, colour, "start")
        halo = ' stroke="#fff" stroke-width="4" paint-order="stroke">'
        self.parts[-1] = self.parts[-1].replace(">", halo, 1)

    def svg(self, ticks: dict[float, str]) -> str:
        bottom = TOP + LANE * len(self.lanes)
        size = f'viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
        font = 'font-family="Helvetica, Arial, sans-serif" font-size="13"'
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{WIDTH}" height="{self.height}" fill="#fff"/>',
        ]
        body, self.parts = self.parts, []
        for lane, name in enumerate(self.lanes):
            self.text(LEFT - 14, self.y(lane) + 4, name, INK, "end")
            self.line(LEFT, self.y(lane), WIDTH - RIGHT, self.y(lane), "#d0d7de")
        self.line(LEFT, bottom, WIDTH - RIGHT, bottom, INK)
        for hour, words in ticks.items():
            self.line(self.x(hour), bottom, self.x(hour), bottom + 5, INK)
            self.text(self.x(hour), bottom + 19, words, FAINT)
        # Bands are drawn below the lanes, everything else above them.
        bands = [part for part in body if part.startswith("<rect") and BAND in part]
        rest = [part for part in body if part not in bands]
        return "\n".join([*head, *bands, *self.parts, *rest, "</svg>", ""])


def clock(*hours: float) -> dict[float, str]:
    return {hour: f"{int(hour):02d}:{round(hour % 1 * 60):02d}" for hour in hours}


def two_clocks() -> str:
    p = Picture(
        "A row counts from when it is known", 8, 15, ("timetable row", "outcome row", "at t")
    )
    p.known(0, 8.3, "the evening before")
    p.event(0, 10, "due 10:00")
    p.link(0, 8.3, 10)
    p.link(1, 12.67, 13.75)
    p.event(1, 12.67, "lands 12:40")
    p.known(1, 13.75, "known 13:45")
    p.now(13.25, "t = 13:15")
    p.note(2, 8.1, "planned: visible", GREEN)
    p.note(2, 11.15, "landed, and not visible", RED)
    p.note(2, 13.8, "visible", GREEN)
    return p.svg(clock(8, 9, 10, 11, 12, 13, 14, 15))


def modes() -> str:
    p = Picture(
        "A blocked batch, seen in both modes", 0, 96, ("Monday's batch", "declared", "recorded")
    )
    p.event(0, 12, "happened")
    p.known(0, 24, "known")
    p.event(0, 72, "released", GREEN)
    p.link(0, 24, 72)
    p.note(0, 34, "blocked by the gate for two days", RED)
    p.bar(1, 24, 95, "visible by known_at")
    p.bar(2, 72, 95, "visible by usable_at")
    p.now(48, "t: it was not served")
    return p.svg({0: "Mon", 24: "Tue", 48: "Wed", 72: "Thu", 96: "Fri"})


def versions() -> str:
    p = Picture(
        "A correction moves an event", 0, 10, ("version 1", "version 2", "window of 3 h at t")
    )
    p.event(0, 2, "event 2")
    p.known(0, 3, "known 3")
    p.event(1, 8, "event 8")
    p.known(1, 5, "known 5")
    p.link(1, 5, 8)
    p.link(0, 2, 3)
    p.bar(2, 3, 5, "counts by version 1")
    p.bar(2, 8.1, 9.95, "by version 2")
    p.note(2, 5.3, "counts nowhere", RED)
    return p.svg({hour: str(hour) for hour in range(11)})


def window() -> str:
    p = Picture("A window has its start and not its end", 0, 10, ("events",))
    p.band(2, 8, "Window(-6h): [t - 6h, t)")
    p.now(8, "t")
    for hour, words, colour in (
        (1, "out", FAINT), (2, "in", BLUE), (4.5, "in", BLUE), (7.4, "in", BLUE), (8, "out", FAINT),
    ):  # fmt: skip
        p.event(0, hour, words if hour != 8 else "", colour)
    p.note(0, 8.15, "out: at exactly t", FAINT)
    return p.svg({2: "t - 6h", 5: "t - 3h", 8: "t"})


def intervals() -> str:
    p = Picture(
        "Each version is an interval of prediction times",
        0,
        12,
        ("on time", "known late", "superseded", "deleted", "how many, at t"),
    )
    p.event(0, 2, "e")
    p.bar(0, 2, 6)
    p.event(1, 3, "e")
    p.known(1, 5, "k")
    p.bar(1, 5, 7)
    p.event(2, 4, "e")
    p.bar(2, 4, 6.5)
    p.known(2, 6.5, "next version")
    p.event(3, 7, "e")
    p.bar(3, 7, 9)
    p.known(3, 9, "tombstone", RED)
    steps = [(0, 2, 0), (2, 4, 1), (4, 5, 2), (5, 6, 3), (6, 6.5, 2), (6.5, 7, 1)]
    for start, end, count in [*steps, (7, 9, 1), (9, 12, 0)]:
        p.text((p.x(start) + p.x(end)) / 2, p.y(4) + 4, str(count), GREEN if count else FAINT)
        if start:
            p.line(p.x(start), p.y(4) - 9, p.x(start), p.y(4) + 9, FAINT)
    return p.svg({hour: str(hour) for hour in range(0, 13, 2)})


def distinct() -> str:
    p = Picture(
        "Ranges of one value are united before they are counted",
        0,
        12,
        ("gate B2", "gate B2 again", "gate C7", "distinct gates"),
    )
    p.bar(0, 2, 6, "", BLUE)
    p.bar(1, 4, 8, "", BLUE)
    p.bar(2, 5, 9, "", ORANGE)
    for start, end, count in [(0, 2, 0), (2, 5, 1), (5, 8, 2), (8, 9, 1), (9, 12, 0)]:
        p.text((p.x(start) + p.x(end)) / 2, p.y(3) + 4, str(count), GREEN if count else FAINT)
        if start:
            p.line(p.x(start), p.y(3) - 9, p.x(start), p.y(3) + 9, FAINT)
    p.event(0, 2)
    p.event(1, 4)
    p.event(2, 5, "", ORANGE)
    return p.svg({hour: str(hour) for hour in range(0, 13, 2)})


def last() -> str:
    p = Picture(
        "Last goes back past a null, the last row does not", 0, 10, ("gate", "carrier", "at t")
    )
    p.band(1, 8, "window")
    p.now(8, "t")
    for lane, values in enumerate((("B2", "C7", "null"), ("UA", "null", "AA"))):
        for hour, value in zip((2, 4, 6.5), values, strict=True):
            p.event(lane, hour, value, FAINT if value == "null" else BLUE)
    p.note(2, 1.1, "last: gate C7, carrier AA", GREEN)
    p.note(2, 4.9, "last row: gate null, carrier AA", ORANGE)
    return p.svg({1: "t - 7h", 8: "t"})


def state() -> str:
    p = Picture("The state that holds at t", 0, 12, ("readings", "state", "max age 4 h"))
    p.event(0, 1, "18 °C")
    p.event(0, 4, "null")
    p.event(0, 6, "21 °C")
    p.bar(1, 1, 4, "18 °C")
    p.bar(1, 4, 6, "null", FAINT)
    p.bar(1, 6, 11.9, "21 °C")
    p.bar(2, 1, 4, "18 °C")
    p.bar(2, 4, 6, "null", FAINT)
    p.bar(2, 6, 10, "21 °C")
    p.note(2, 10.25, "expired", RED)
    return p.svg({hour: str(hour) for hour in range(0, 13, 2)})


def label() -> str:
    p = Picture("A label is mature by the clock", 0, 60, ("outcome", "label", "at the cut"))
    p.now(4, "t")
    p.event(0, 20, "lands")
    p.known(0, 27, "known")
    p.link(0, 20, 27)
    p.bar(1, 4, 40, "horizon 36 h", BLUE)
    p.bar(1, 40, 52, "settle 12 h", ORANGE)
    p.bar(2, 52, 59.8, "mature")
    p.note(2, 12, "immature, though the outcome is there", RED)
    p.now(52, "t + horizon + settle", GREEN)
    return p.svg({4: "t", 40: "t + 36h", 52: "t + 48h"})


PICTURES: dict[str, Callable[[], str]] = {
    "time-two-clocks": two_clocks,
    "time-modes": modes,
    "time-versions": versions,
    "time-window": window,
    "time-intervals": intervals,
    "time-distinct": distinct,
    "time-last": last,
    "time-state": state,
    "time-label": label,
}


def main() -> None:
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw())


if __name__ == "__main__":
    main()
