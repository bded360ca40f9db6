"""Page of a gate report: one self-contained HTML document without external resources."""

from urllib.parse import quote

from headrace.reports.batch import action_form, columns, evidence, record, summary
from headrace.reports.batch.model import Report
from headrace.web import wording
from headrace.web.html import Child, Html, element, join
from headrace.web.style import ACTING, CSS, POLICY


def render(report: Report, home: str = "", form: action_form.Form | None = None) -> str:
    """Render the report as one HTML document.

    Args:
        report: the facts to show.
        home: URL of the index, relative to this page; "" for a page that is saved alone.
        form: data of the decision form; None for a page without action buttons.
    """
    page = (lambda batch_id: page_path(report.table, batch_id, home)) if home else _no_page
    sections = [
        element(
            "div",
            summary.reach(report),
            summary.why(report),
            summary.inaction(report),
            class_="two",
        ),
        evidence.rows(report),
        columns.comparison(report, page),
        evidence.history(report),
        record.lineage(report),
        record.log(report),
        action_form.steps(report, form),
    ]
    footer = f"Made {wording.moment(report.rendered_at)} from the gate's recorded results."
    back = element("p", element("a", "All reports", href=home)) if home else None
    return document(
        f"{report.verdict} {report.table} {report.slot}",
        summary.top(report, page),
        _jumps(report),
        element("main", sections),
        element("footer", back, element("p", footer)),
        acting=form is not None,
    )


def page_path(table: str, batch_id: str, home: str) -> str:
    """Return the URL of a batch's page; `home` is the relative URL of the index."""
    return f"{home}batch/{quote(table, safe='')}/{quote(batch_id, safe='')}"


def _no_page(batch_id: str) -> str:
    """Return "": a page that is saved alone links to no other pages."""
    del batch_id
    return ""


def _jumps(report: Report) -> Html:
    """Return a bar of links to the main sections; it stays visible while the page scrolls."""
    places = [("Why", "#why"), ("Compare", "#compare"), ("Act", "#act")]
    if report.rows is not None and report.rows.total:
        places.insert(1, ("Rows", "#rows"))
    links = [element("a", name, href=place) for name, place in places]
    return element("nav", links, aria_label="Parts of this report")


def document(title: str, *body: Child, acting: bool = False) -> str:
    """Return a self-contained page in the common style; `acting` allows it to submit a form."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=ACTING if acting else POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        # Not "no-referrer": browsers would then hide the origin of a submitted form.
        element("meta", name="referrer", content="same-origin"),
        element("title", title),
        element("style", Html(CSS)),
    )
    page = element("html", head, element("body", body), lang="en")
    return f"<!doctype html>\n{join(page)}\n"
