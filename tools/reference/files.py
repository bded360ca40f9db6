"""Pages of the declaration files, key by key, from the tables that their readers use."""

import ast
import inspect
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from headrace.alerts import config as alerts
from headrace.alerts.model import VERDICTS
from headrace.alerts.mutes import MUTE
from headrace.contracts import keys as contract
from headrace.contracts import load_contract
from headrace.contracts.authoring.yaml_values import flow
from headrace.contracts.drift.findings import ACTIONS as CHANGES
from headrace.core import permissions
from headrace.core.clock import duration_text
from headrace.core.declarations.strict_yaml import PROPERTY, Key, Keys, choice, read_document
from headrace.datasets.card import load_card, statement
from headrace.gates import suite_reader
from headrace.gates.checks.vocabulary import ELSEWHERE, VOCABULARY
from headrace.gates.suite import CHANGE_ACTIONS
from headrace.monitoring.decisions.policy import Detection, Policy, load_policy
from headrace.pipeline.load import SETTINGS
from tools.reference.markdown import cell, code, table

EXAMPLES = Path(__file__).parent / "examples"
MOST = 80  # characters of an example in a table
DURATIONS = ("cool_down", "budget_period", "max_age")


@dataclass(frozen=True)
class Section:
    """Keys of one mapping of a file.

    Attributes:
        place: path to the mapping in the example: `a.b` is a key of a key, `[]` each entry of a
            list, `{}` a list of custom properties as a mapping.
    """

    title: str
    intro: str
    keys: Keys
    place: str = ""


COLUMN = "schema[].properties[]"
CUSTOM = "schema[].customProperties{}"
OF_COLUMN = f"{COLUMN}.customProperties{{}}"
CONTRACT_SECTIONS = (
    Section("Contract", "Keys at the top of the file.", contract.CONTRACT),
    Section("Custom properties of the contract", "Under `customProperties`.",
            contract.CONTRACT_CUSTOM, "customProperties{}"),
    Section("Team", "Under `team`.", contract.TEAM, "team"),
    Section("Description", "Under `description`.", contract.DESCRIPTION, "description"),
    Section("Table", "The one entry of `schema`.", contract.TABLE, "schema[]"),
    Section("Custom properties of the table", "Under `schema[0].customProperties`.",
            contract.TABLE_CUSTOM, CUSTOM),
    Section("Time rules",
            "Under `eventTime`, `knownAt` and `deleted`. An expression can use the columns of the "
            "row; `knownAt` can also use `event_time`, and `deleted` can also use `known_at`.",
            contract.TIME_RULE, f"{CUSTOM}.eventTime"),
    Section("Coverage", "Under `coverage`.", contract.COVERAGE, f"{CUSTOM}.coverage"),
    Section("Invariants and relations", "An entry of `invariants` or `relations`.",
            contract.INVARIANT, f"{CUSTOM}.invariants[]"),
    Section("Column", "An entry of `schema[0].properties`.", contract.COLUMN, COLUMN),
    Section("Options of a timestamp", "Under `logicalTypeOptions`.",
            contract.TIMESTAMP_OPTIONS, f"{COLUMN}.logicalTypeOptions"),
    Section("Custom properties of a column",
            "Under `customProperties` of a column. A derived column has none of "
            f"{', '.join(map(code, contract.DELIVERED_COLUMN.names))}.",
            contract.COLUMN_CUSTOM, OF_COLUMN),
    Section("Derivation `local_time`", "Under `derivation`; gives a timestamp.",
            contract.LOCAL_TIME, f"{OF_COLUMN}.derivation"),
    Section("Derivation `next_clock`", "Under `derivation`; gives a timestamp.",
            contract.NEXT_CLOCK, f"{OF_COLUMN}.derivation"),
    Section("Derivation `wall_clock`", "Under `derivation`; gives an integer.",
            contract.WALL_CLOCK, f"{OF_COLUMN}.derivation"),
    Section("Time zone by column",
            "Under `zone` of a derivation, instead of the name of a zone.",
            contract.ZONE_LOOKUP, f"{OF_COLUMN}.derivation.zone"),
    Section("Entry of a list of custom properties",
            "Every `customProperties` is a list of such entries.", PROPERTY, "customProperties[]"),
)  # fmt: skip
SUITE_SECTIONS = (
    Section("Suite", "Keys at the top of the file.", suite_reader.SUITE),
    Section("Settings of the suite", "Under `meta`.", suite_reader.SUITE_META, "meta"),
    Section("Expectation",
            "An entry of `expectations`. The types and their arguments: "
            "[expectation types](#expectation-types).",
            suite_reader.EXPECTATION, "expectations[]"),
    Section("Settings of an expectation", "Under `meta` of an expectation.",
            suite_reader.EXPECTATION_META, "expectations[].meta"),
)  # fmt: skip
POLICY_SECTIONS = (
    Section("Policy", "Keys at the top of the file.", permissions.POLICY),
    Section("Grant", "An entry of `principals`.", permissions.GRANT, "principals.*"),
)
ALERTS_SECTIONS = (
    Section("Alerts", "Keys at the top of the file.", alerts.CONFIG),
    Section("Waits", "Under `wait`.", alerts.WAITS, "wait"),
    Section("Mute", "An entry of `mute`. It has `until`, or `daily`, or both.", MUTE, "mute[]"),
)
CARD_SECTIONS = (
    Section("Card", "Keys at the top of the file.", statement.CARD),
    Section("Statement", "An entry of `statements`.", statement.STATEMENT, "statements[]"),
)
PROJECT_FILES = (
    ("pyproject.toml", "The pipelines of the project; see below."),
    ("workspace.yaml", "Code locations, in Dagster's format."),
    ("policy.yaml", "Who may take which actions: [policy.yaml](yaml-policy.md)."),
    ("alerts.yaml", "Who is notified: [alerts.yaml](yaml-alerts.md)."),
    (".env", "[Environment variables](environment.md) of this machine; not for version control."),
    ("pipelines/PIPELINE/contracts/TABLE.yaml", "A table: [contract file](yaml-contract.md)."),
    ("quality_suites/PIPELINE/TABLE.yaml", "Checks of a table: [suite file](yaml-suite.md)."),
    ("pipelines/PIPELINE/monitors.yaml",
     "Rules of the monitor: [monitors.yaml](yaml-monitors.md)."),
    ("pipelines/PIPELINE/card.yaml", "Statements on the dataset card: [card.yaml](yaml-card.md)."),
    ("pipelines/PIPELINE/*.py",
     "Sources, features, dataset, model and monitors: [Python API](python-api.md)."),
)  # fmt: skip


def contract_page() -> str:
    """Return the page of contract files."""
    load_contract(EXAMPLES / "contract.yaml")
    intro = """\
A contract declares one table: columns, types, units, keys, time rules, owner and terms. It is a
document of the Open Data Contract Standard (ODCS) 3.2 in YAML, by convention
`pipelines/PIPELINE/contracts/TABLE.yaml`. Unknown keys are refused. [Contracts](contracts.md)
explains how contracts change, and [rules of change](contract-changes.md) how they are compared."""
    return _page("Contract file", intro, "contract.yaml", CONTRACT_SECTIONS)


def suite_page() -> str:
    """Return the page of suite files."""
    suite_reader.read_suite(EXAMPLES / "suite.yaml", load_contract(EXAMPLES / "contract.yaml"))
    intro = """\
A suite lists the checks that every batch of one table has to pass, in the format of Great
Expectations. By convention the file is `quality_suites/PIPELINE/TABLE.yaml`. Unknown keys are
refused. [Suites](suites.md) explains how suites work."""
    semantic = f"""\
## Semantic changes

A key of `meta.semantic` is a kind of change, or `kind:column` for one column; the value is the
action: {choice(CHANGE_ACTIONS)}. Write `off` in quotes.
[Semantic changes](../explanation/semantic-changes.md) explains each kind.

{table(("kind", "default action"), [(code(kind), code(CHANGES[kind])) for kind in CHANGES])}"""
    return _page("Suite file", intro, "suite.yaml", SUITE_SECTIONS, semantic, _types())


def _types() -> str:
    rows = []
    for name, kind in VOCABULARY.items():
        required = " ".join(map(code, kind.required))
        optional = " ".join(map(code, kind.optional))
        rows_fail = ("yes, alone" if kind.independent else "yes") if kind.row_level else ""
        answer = "one scan" if kind.compiled else "Great Expectations"
        rows.append((code(name), required, optional, rows_fail, "yes" * kind.sliced, answer))
    head = ("type", "required", "optional", "rows fail", "`by`", "answered by")
    refused = [f"- `{name}`: {why}." for name, why in ELSEWHERE.items()]
    return "\n\n".join([TYPES, table(head, rows), "Refused, with the reason:", "\n".join(refused)])


TYPES = """\
## Expectation types

In the column *rows fail*, `yes` means that the type identifies the failing rows: it accepts
`mostly`, and these rows can be quarantined. `yes, alone` means in addition that the other rows do
not affect whether a row fails. In the column `by`, `yes` means that the type can be applied to each
category of a column. Every type accepts `row_condition` with `condition_parser: pandas`. Types
answered by Great Expectations need that package."""


def policy_page() -> str:
    """Return the page of policy.yaml."""
    permissions.load_policy(EXAMPLES / "policy.yaml")
    intro = """\
`policy.yaml` says who may take which actions on batches, windows and releases. The file is at the
root of the project; `HEADRACE_POLICY` names another file. Without the file, only the operating
system's user who runs Headrace may act. Names are not authenticated: each caller states a name, and
it is recorded with the action."""
    rows = [(code(name), meaning) for name, meaning in permissions.ACTIONS.items()]
    actions = f"## Actions\n\n{table(('action', 'meaning'), rows)}"
    return _page("policy.yaml", intro, "policy.yaml", POLICY_SECTIONS, actions)


def alerts_page() -> str:
    """Return the page of alerts.yaml."""
    alerts.load_config(EXAMPLES / "alerts.yaml")
    intro = """\
`alerts.yaml` says who is notified of batches that are not published, and when. The file is at the
root of the project; `HEADRACE_ALERTS` names another file. Without the file nobody is notified."""
    more = f"""\
## Verdicts

From the most severe to the least: {", ".join(map(code, VERDICTS))}. `MISSING` is a partition
without a delivery, `INVESTIGATE` a window of a monitor that a person has to look at.

## Addresses

An address is an [Apprise](https://github.com/caronc/apprise) URL (`mailto://`, `slack://`, a
webhook). It is the value of an environment variable, or of a line in the file `.env` beside
`alerts.yaml`. Addresses contain passwords, so `alerts.yaml` has only the names of the variables."""
    return _page("alerts.yaml", intro, "alerts.yaml", ALERTS_SECTIONS, more)


def card_page() -> str:
    """Return the page of card.yaml."""
    load_card(EXAMPLES / "card.yaml")
    intro = """\
`card.yaml` has statements about a dataset that only a person can make. The dataset card shows each
statement with its author; a field without a statement reads `not_stated`. The file is in the folder
of the pipeline, and the dataset's declaration reads it with `load_card`."""
    rows = [(code(name), f"{text}.") for name, text in statement.FIELDS.items()]
    more = f"## Fields\n\n{table(('field', 'what to state'), rows)}"
    return _page("card.yaml", intro, "card.yaml", CARD_SECTIONS, more)


def monitors_page() -> str:
    """Return the page of monitors.yaml."""
    load_policy(EXAMPLES / "monitors.yaml")
    intro = """\
`monitors.yaml` has the policy of a monitor: which changes count as evidence, and which evidence
starts a retraining or pages a person. The file is in the folder of the pipeline, and the pipeline's
`MonitorSpec` names it. Unknown keys are refused. [Monitoring](../explanation/monitoring.md)
explains how monitors work."""
    version = Key("version", "`1`", "Version of the format.", required=True)
    nested = Key("detection", "mapping", "Thresholds for evidence: see [Detection](#detection).")
    decision = Keys((version, *_settings(Policy), nested))
    detection = Keys(_settings(Detection))
    sections = (
        Section("Decision", "Keys at the top of the file.", decision),
        Section("Detection", "Under `detection`.", detection, "detection"),
    )
    return _page("monitors.yaml", intro, "monitors.yaml", sections)


def project_page() -> str:
    """Return the page of the files of a project."""
    example = (EXAMPLES / "pyproject.toml").read_text(encoding="utf-8").strip()
    return f"""\
# Files of a project

The root of a project is the folder with a `pyproject.toml` that has a table `[tool.headrace]`.
`headrace new project` writes these files.

{table(("file", "what it declares"), [(code(path), text) for path, text in PROJECT_FILES])}

## pyproject.toml

```toml
{example}
```

{_keys_table(SETTINGS, [tomllib.loads(example)["tool"]["headrace"]])}

## Values

| form | meaning |
| --- | --- |
| duration | A whole number and `us`, `s`, `m`, `h` or `d`: `90m`, `28d`. A day is 24 hours. |
| partition | A day, `2026-11-30`, or `snapshot` for a table that is delivered whole. |
| IANA time zone | A name such as `Europe/Berlin`. |
| SPDX expression | A licence such as `CC-BY-4.0`, or several with `AND`, `OR` and brackets. |
| `TODO ...`, `not_stated` | Placeholder in a draft for a text that a person has to write. |

Contracts, suites, `policy.yaml`, `alerts.yaml` and `card.yaml` are read strictly. A key may occur
only once. All values are text, except `true`, `false`, `null` and plain decimal numbers; so dates,
`no`, `012` and `20:00` are text, with or without quotes."""


def _settings(kind: type[Any]) -> tuple[Key, ...]:
    """Return the fields of a policy as keys; what they mean is the text below each."""
    texts = _attribute_texts(kind)
    return tuple(
        Key(field.name, _form(field.name, str(field.type)), texts[field.name], default=default)
        for field in fields(kind)
        if field.default is not MISSING
        for default in (_written(field.name, field.default),)
    )


def _form(name: str, annotation: str) -> str:
    if name in DURATIONS:
        return "duration, or `null`" if "None" in annotation else "duration"
    forms = (("tuple", "list of texts"), ("float", "number"), ("int", "whole number"))
    form = next(form for kind, form in forms if kind in annotation)
    return f"{form}, or `null`" if "None" in annotation else form


def _written(name: str, default: Any) -> str:  # noqa: ANN401 - any value of a policy
    if name in DURATIONS and default is not None:
        return code(duration_text(default))
    return code(flow(list(default) if isinstance(default, tuple) else default))


def _attribute_texts(kind: type[Any]) -> dict[str, str]:
    """Return the text below each field of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: cell(text.value.value)
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }  # fmt: skip


def _page(title: str, intro: str, example: str, sections: Sequence[Section], *more: str) -> str:
    path = EXAMPLES / example
    document = read_document(path).value
    parts = [f"# {title}", intro, f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```"]
    for section in sections:
        mappings = list(_mappings(document, section.place))
        operation = section.keys[0]
        if operation.name == "op":
            mappings = [each for each in mappings if code(each["op"]) == operation.form]
        parts += [f"## {section.title}", section.intro, _keys_table(section.keys, mappings)]
        if unused := [code(key.name) for key in section.keys if key.meaning == contract.UNUSED]:
            parts.append(f"Also of the standard, stored and not used: {', '.join(unused)}.")
    return "\n\n".join([*parts, *more])


def _keys_table(keys: Keys, mappings: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            code(key.name),
            re.sub(r"^duration\b", "[duration](project-files.md#values)", key.form),
            "required" if key.required else key.default,
            key.meaning,
            code(_example(key, mappings)),
        )
        for key in keys
        if key.meaning != contract.UNUSED
    ]
    return table(("key", "type", "default", "meaning", "example"), rows)


def _example(key: Key, mappings: Sequence[Mapping[str, Any]]) -> str:
    """Return the first value of the key in the example, if it is short."""
    values = [flow(mapping[key.name]) for mapping in mappings if key.name in mapping]
    return next((value for value in values if len(value) <= MOST), "")


def _mappings(node: Any, place: str) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - parsed YAML
    """Yield the mappings at a place of a document."""
    if not place:
        if isinstance(node, Mapping):
            yield node
        return
    key, _, rest = place.partition(".")
    name = key.removesuffix("[]").removesuffix("{}")
    values = node.values() if name == "*" else [node[name]] if name in node else []
    for value in values:
        if key.endswith("[]"):
            for entry in value:
                yield from _mappings(entry, rest)
        elif key.endswith("{}"):
            yield from _mappings({entry["property"]: entry["value"] for entry in value}, rest)
        elif isinstance(value, Mapping):
            yield from _mappings(value, rest)


PAGES: Mapping[str, Callable[[], str]] = {
    "project-files.md": project_page,
    "yaml-contract.md": contract_page,
    "yaml-suite.md": suite_page,
    "yaml-policy.md": policy_page,
    "yaml-alerts.md": alerts_page,
    "yaml-card.md": card_page,
    "yaml-monitors.md": monitors_page,
}
