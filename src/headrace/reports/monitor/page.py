"""Page of a monitor: one self-contained HTML document, designed for phones first."""

from headrace.monitoring.evidence.model import day_text
from headrace.reports.batch.action_form import Form, decide
from headrace.reports.batch.model import ActionStep
from headrace.reports.batch.page import document
from headrace.reports.batch.summary import chip
from headrace.reports.monitor import charts, sentences
from headrace.reports.monitor.model import MonitorReport, Spread
from headrace.reports.monitor.retrainings import retrainings
from headrace.reports.monitor.windows import loud_windows
from headrace.web import wording
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow, table


def render(report: MonitorReport, home: str = "", form: Form | None = None) -> str:
    """Render the report as one HTML document.

    Args:
        report: the facts to show.
        home: URL of the reports' index; "" if there is none.
        form: data of the form to acknowledge or accept; None for a page without buttons.
    """
    links = [
        ("Timeline", "#timeline"),
        ("Windows", "#windows"),
        ("Policy", "#policy"),
        ("Models", "#models"),
        ("Figures", "#figures"),
    ]
    back = element("p", element("a", "All reports", href=home)) if home else None
    footer = (
        f"Made {wording.moment(report.rendered_at)} from the ledgers and the monitor's latest run."
    )
    return document(
        f"Monitor {report.monitor}",
        _top(report, form),
        element("nav", [element("a", name, href=place) for name, place in links],
                aria_label="Parts of this report"),
        element(
            "main",
            _timeline(report),
            _heat(report),
            loud_windows(report),
            _alternatives(report),
            retrainings(report),
            _figures(report),
            _notes(report),
        ),
        element("footer", back, element("p", footer)),
        acting=form is not None,
    )  # fmt: skip


def _top(report: MonitorReport, form: Form | None) -> Html:
    todo, because = sentences.call(report)
    last = report.windows[-1].entry.window.text if report.windows else "no window yet"
    open_one = next((incident for incident in report.open if incident.acknowledged is None), None)
    right = sentences.acceptance(report, open_one) if open_one else ""
    steps = [
        element("p", "Acknowledge it to stop further pages about it:"),
        element("pre", sentences.acknowledgement(open_one, report.options)),
        element("p", "Or, if the data are right, accept them as the baseline:") if right else None,
        element("pre", right) if right else None,
    ] if open_one else None  # fmt: skip
    return element(
        "header",
        element("p", element("strong", f"monitor {report.monitor}"),
                element("span", last, class_="mono"),
                chip(report.windows[-1].action) if report.windows else None, class_="where"),
        element("h1", wording.capital(sentences.headline(report))),
        element("div", element("p", element("strong", f"{todo}."), f" {because}"), steps,
                class_="call"),
        _act(report, form) if form and open_one else None,
        _sums(report),
        class_=f"top {sentences.tone(report)}",
    )  # fmt: skip


def _act(report: MonitorReport, form: Form) -> Html:
    """Show the buttons for the first open incident that is not acknowledged."""
    open_one = next(incident for incident in report.open if incident.acknowledged is None)
    able = [
        ActionStep(
            "Acknowledge",
            "Stop paging about it. The data remain suspect.",
            "",
            action="ack",
        )
    ]
    if sentences.acceptance(report, open_one):
        able.append(
            ActionStep(
                "Accept the data",
                "The data are right and will stay like this: use them as the new baseline.",
                "",
                action="accept",
            )
        )
    days = {"ack": day_text(open_one.last.first), "accept": day_text(open_one.first.first)}
    return element("div", decide(form, able, days=days), id="act")


def _sums(report: MonitorReport) -> Html:
    actions = report.recorded.actions
    quiet = f"{actions['none']} of {len(report.windows)}"
    acknowledged = sum(incident.acknowledged is not None for incident in report.open)
    figures = [
        ("quiet windows", quiet),
        ("open", f"{len(report.open)} ({acknowledged} acknowledged)" if acknowledged
         else str(len(report.open))),
        ("retrainings", str(len(report.retrainings))),
        ("age of the champion", sentences.champion_age(report)),
        ("next retraining", sentences.next_retraining(report)),
        ("budget left", sentences.budget(report)),
    ]  # fmt: skip
    return element("dl", [element("div", element("dt", name), element("dd", value))
                          for name, value in figures], class_="sum")  # fmt: skip


def _timeline(report: MonitorReport) -> Html:
    days = report.window_days
    return element(
        "section",
        element("h2", "Evidence and decisions"),
        element(
            "p",
            f"Each column is a window of {wording.counted(days, 'day')}. A tall bar is an alarm, ",
                "a low bar a notice. A taller decision bar is a more severe decision: none, ",
                "watch, investigate, retrain. ▼ marks the start of a champion. Columns with an ",
                "action link to their window.", class_="small soft"),
        charts.timeline(report.windows, report.reigns) if report.windows else _none_yet(),
        id="timeline",
    )  # fmt: skip


def _none_yet() -> Html:
    return element("p", "No window is complete yet.")


def _heat(report: MonitorReport) -> Html | None:
    picture = charts.heat(report.windows)
    if picture is None:
        return None
    return element(
        "section",
        element("h2", "Columns, window by window"),
        element("p", "Distance of each column from earlier windows, divided by the column's own "
                "limit: more than 1 is evidence. Empty cells were not evaluated.",
                class_="small soft"),
        charts.heat_key(),
        picture,
        id="columns",
    )  # fmt: skip


def _alternatives(report: MonitorReport) -> Html:
    path = report.policy_path.name
    rows = [
        TableRow(
            [element("strong", name), element("br"),
             element("span", description, class_="soft small")],
            (
                ("retrainings", f"{len(counts.retrainings)}"),
                ("pages", f"{len(counts.pages)}"),
                ("watched", f"{counts.actions['watch']}"),
                ("other decisions", "" if differ is None else f"{differ}"),
            ),
        )
        for name, description, counts, differ in [
            ("on record", "The recorded decisions.", report.recorded, None),
            *((other.name, other.description, other.tally, _differ(report, other.name))
              for other in report.alternatives),
        ]
    ]  # fmt: skip
    rules = element(
        "dl",
        [
            [element("dt", element("code", name), f" {value}"), element("dd", meaning)]
            for name, value, meaning in sentences.rules(report.policy)
        ],
        class_="pairs",
    )
    heads = ["policy", "retrainings", "pages", "watched", "other decisions"]
    return element(
        "section",
        element("h2", "The policy, compared with other policies"),
        element("p", "Decisions of other policies on the same evidence. Under no policy "
                "does a detected data fault start a retraining.", class_="small soft"),
        table("decisions under other policies", heads, rows),
        element("details", element("summary", f"The rules of {path}"), rules,
                element("p", "Try another policy: ",
                        element("code", f"headrace monitor replay --policy FILE "
                                f"{report.options}"))),
        id="policy",
    )  # fmt: skip


def _differ(report: MonitorReport, name: str) -> int:
    return sum(view.alternatives.get(name) != view.action for view in report.windows)


def _figures(report: MonitorReport) -> Html:
    figures = report.figures
    share = (
        f"{figures.evaluated} of {figures.windows} on their columns, {figures.labelled} on labels"
    )
    acknowledged = f"{figures.acknowledged} of {figures.incidents} acknowledged"
    pages = f"{figures.pages_per_month:.1f} ({figures.pages} in {figures.months:.1f} months)"
    costs = [element("li", element("code", cost.trigger_id[:12]), f": {sentences.cost(cost)}")
             for cost in figures.costs]  # fmt: skip
    pairs: list[tuple[str, Child]] = [
        ("from delivery to model", _spread(figures.lead_time, "batch", "batches")),
        ("cost of a retraining", element("ul", costs) if costs else "no retraining yet"),
        ("from alarm to acknowledgement",
         [_spread(figures.diagnose, "incident"), f"; {acknowledged}"]),
        ("pages a month", pages),
        ("windows evaluated", share),
    ]  # fmt: skip
    return element(
        "section",
        element("h2", "Figures"),
        element("dl", [[element("dt", name), element("dd", value)] for name, value in pairs],
                class_="pairs"),
        id="figures",
    )  # fmt: skip


def _spread(spread: Spread | None, noun: str, plural: str = "") -> str:
    if spread is None:
        return "not known yet"
    return (
        f"median {wording.age(spread.median)}, at most {wording.age(spread.longest)} "
        f"({wording.counted(spread.count, noun, plural)})"
    )


def _notes(report: MonitorReport) -> Html | None:
    if not report.notes:
        return None
    return element(
        "section",
        element("h2", "Not monitored"),
        element("ul", [element("li", note) for note in report.notes]),
    )
