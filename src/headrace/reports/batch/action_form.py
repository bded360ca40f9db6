"""HTML form for decisions: a field for the reason, and a button for each possible action.

The form needs no script. Only a server that listens on the local machine alone shows the form (see
`Form`); otherwise the page has only commands and links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.core.batch_actions import BATCH_ACTIONS
from headrace.gates.semantic_checks import observations_of
from headrace.reports.batch.model import ActionStep, Report
from headrace.web.html import Html, element, is_link, join

# Actions that need only a reason.
BUTTONS = tuple(name for name, action in BATCH_ACTIONS.items() if action.button)
MONITOR_ACTIONS = ("ack", "accept")
_ENDS = (("", "Never"), ("1d", "After 1 day"), ("7d", "After 7 days"), ("30d", "After 30 days"))
_LATER = (
    ("", "Are judged as before"),
    ("90d", "Are accepted for 90 days"),
    ("365d", "Are accepted for a year"),
)
_STRONG = ("release", "accept", "restore")


@dataclass(frozen=True)
class Form:
    """Data of the form, with the error of the previous submission.

    Attributes:
        token: secret of this server process; forms without it are refused.
        principal: the user of this machine, in whose name the action is recorded.
        problem, fix: why the previous action was refused, and how to fix it; else "".
        reason: the reason typed before, so that a refusal does not lose it.
    """

    token: str
    principal: str
    problem: str = ""
    fix: str = ""
    reason: str = ""


def steps(report: Report, form: Form | None) -> Html:
    """Show every possible action on the batch, the likeliest first."""
    able = [step for step in report.steps if step.action in BUTTONS]
    head = [element("h2", "What you can do")]
    if form and able:
        ends = any(step.action == "release" for step in able)
        return element(
            "section",
            head,
            decide(form, able, ends=_until(report) if ends else None),
            [_step(step) for step in report.steps if step not in able],
            element(
                "details",
                element("summary", "The same actions as commands, and in Dagster"),
                [_step(step) for step in able],
            ),
            id="act",
        )
    hint = "Use the button or the command; each action is recorded."
    if not any(step.url for step in report.steps):
        hint = "Each command below is complete: tap a command to select all of it."
    head.append(element("p", hint, class_="soft"))
    return element("section", head, [_step(step) for step in report.steps], id="act")


def decide(
    form: Form,
    able: Sequence[ActionStep],
    *,
    ends: Html | None = None,
    days: Mapping[str, str] | None = None,
) -> Html:
    """Build the form, which is posted to the URL of its page.

    Args:
        form: data of the form, with the error of the previous submission.
        able: possible actions, each with its name and effect.
        ends: the field for the end of an approval.
        days: for a monitor, action -> day of the window to which it applies.
    """
    return element(
        "form",
        problem(form),
        element("input", type="hidden", name="token", value=form.token),
        [element("input", type="hidden", name=f"{action}-day", value=day)
         for action, day in (days or {}).items()],
        element("label", "Reason", for_="reason"),
        element("textarea", form.reason, id="reason", name="reason", rows=3, required=True,
                maxlength=2000, placeholder="Recorded permanently, with your name"),
        ends,
        [_choice(step) for step in able],
        element("p", "You act as ", element("strong", form.principal),
                ", the user of this machine. Each action is recorded.", class_="soft small"),
        method="post",
        class_="decide",
    )  # fmt: skip


def problem(form: Form) -> Html | None:
    """Show the refusal of the previous action above the form."""
    if not form.problem:
        return None
    fix = element("p", form.fix) if form.fix else None
    return element(
        "div", element("p", element("strong", form.problem)), fix, class_="refused", role="alert"
    )


def _until(report: Report) -> Html:
    fields = [_select("expires", "An approval ends", _ENDS)]
    if observations_of(report.judgement.results):
        fields.append(_select("right_until", "Later batches with the same findings", _LATER))
    return join(fields)


def _select(name: str, label: str, choices: Sequence[tuple[str, str]]) -> Html:
    options = [element("option", text, value=value) for value, text in choices]
    return element(
        "p",
        element("label", label, for_=name),
        element("select", options, id=name, name=name),
        class_="ends-at",
    )


def _choice(step: ActionStep) -> Html:
    kind = "strong" if step.action in _STRONG else "plain"
    return element(
        "div",
        element("button", step.name, type="submit", name="action", value=step.action, class_=kind),
        element("p", step.does, class_="soft small"),
        class_="choice",
    )


def _step(step: ActionStep) -> Html:
    button = element("a", f"{step.name} in Dagster", href=step.url, class_="button")
    return element(
        "div",
        element("h3", step.name),
        element("p", step.does),
        button if is_link(step.url) else None,
        element("pre", step.command),
        class_="step",
    )
