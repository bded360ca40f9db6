"""Page of the environment variables, checked against what the source reads."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.reference.markdown import code, table
from tools.reference.source import Source, modules

HEAD = """\
Headrace reads these variables from the environment. In a project, Dagster also reads the file
`.env` in the project's root. Headrace's commands read that file only for the addresses of
alerts."""
READS = re.compile(r"environ|getenv|envvar|(?:HEADRACE|AWS|DAGSTER)_[A-Z]")
LITERAL = re.compile(r"(?:HEADRACE|AWS|DAGSTER)_[A-Z0-9_]+")
# Functions that read variables whose names are not in the source, such as addresses of alerts, or
# that pass the variables of the system on to a process.
BY_NAME = frozenset({"address", "_environment", "entered", "environment"})


@dataclass(frozen=True)
class Variable:
    """One environment variable."""

    name: str
    meaning: str
    default: str = ""


@dataclass(frozen=True)
class Group:
    """Variables of one subject."""

    title: str
    variables: tuple[Variable, ...]
    intro: str = ""


GROUPS = (
    Group("Where data is stored", (
        Variable("HEADRACE_HOME",
                 "Folder of the home: tables, ledger, releases, models. Commands that read need it "
                 "to exist; commands that write create it if its parent exists.",
                 "`.headrace` in the project"),
        Variable("HEADRACE_STORE",
                 "Store of dataset releases and models: a folder, or `s3://BUCKET/PREFIX`.",
                 "`store` in the home"),
        Variable("HEADRACE_CATALOG", "Catalog of the tables, as an SQLAlchemy URL.",
                 "SQLite in the home"),
        Variable("HEADRACE_WAREHOUSE", "Files of the tables: a folder, or the URL of a bucket.",
                 "`warehouse` in the home"),
        Variable("HEADRACE_CACHE",
                 "Copies of files from a store in a bucket. It may be deleted at any time.",
                 "`headrace` in `XDG_CACHE_HOME`"),
        Variable("XDG_CACHE_HOME", "Folder of caches; used if `HEADRACE_CACHE` is not set.",
                 "`~/.cache`"),
        Variable("HEADRACE_POLICY", "Who may do what: path of [policy.yaml](yaml-policy.md).",
                 "`policy.yaml` in the project"),
        Variable("HEADRACE_ALERTS", "Who receives alerts: path of [alerts.yaml](yaml-alerts.md).",
                 "`alerts.yaml` in the project"),
    ), "Commands that read refuse a folder that does not exist. Commands that write refuse it only "
       "if its parent does not exist either: see [exit codes](exit-codes.md)."),
    Group("Principal and links", (
        Variable("HEADRACE_PRINCIPAL",
                 "Name of the acting person or program. policy.yaml grants actions to this name, "
                 "and each action is recorded with it.",
                 "the operating system's user"),
        Variable("HEADRACE_REPORTS_URL", "Address of the report pages in alerts and in Dagster.",
                 "where `headrace ui` served last, else `http://127.0.0.1:3070`"),
        Variable("HEADRACE_DAGSTER_URL", "Address of Dagster's pages in alerts and reports.",
                 "where `headrace ui` served last"),
        Variable("HEADRACE_LINEAGE_NAMESPACE", "Namespace of OpenLineage jobs.", "`headrace`"),
    )),
    Group("Secrets", (
        Variable("HEADRACE_SQL_PASSWORD",
                 "Password of a SQL source; never write it into the source's address."),
        Variable("HEADRACE_API_KEY",
                 "API keys that `headrace serve` accepts, separated by commas; used if "
                 "`--api-key-file` is not given."),
        Variable("HEADRACE_PRIVACY_KEY_FILE",
                 "File that holds the key of pseudonyms and erasure records. The first line is the "
                 "key, further lines are earlier keys."),
        Variable("HEADRACE_PRIVACY_KEY",
                 "The privacy key itself; used if `HEADRACE_PRIVACY_KEY_FILE` is not set."),
    ), "The address of each alert target is in a variable whose name you choose and list in "
       "[alerts.yaml](yaml-alerts.md)."),
    Group("Computation and schedules", (
        Variable("HEADRACE_KERNEL", "Feature kernel: `numpy` or `compiled` (numba).",
                 "compiled for large inputs, if numba is installed"),
        Variable("HEADRACE_THREADS", "Threads for computation, at most 16.",
                 "the CPUs of the process"),
        Variable("HEADRACE_BUILD_EVERY",
                 "Shortest time between two builds by Dagster's build sensor, such as `7d`.",
                 "`1d`"),
        Variable("HEADRACE_SENSORS", "State of sensors that nobody has switched on or off: "
                 "`running` or `stopped`.", "`stopped`"),
        Variable("HEADRACE_SENSOR_INTERVAL",
                 "Seconds between two evaluations of the sensors for deliveries, builds, alerts "
                 "and retraining.", "each sensor's own"),
        Variable("HEADRACE_RUN_STARTS_WITHIN",
                 "Seconds after which a run counts as dead if no worker has started it.", "`180`"),
    )),
    Group("Servers", (
        Variable("HEADRACE_ONLINE", "Redis URL of the online store.", "the embedded store"),
        Variable("HEADRACE_NATS", "NATS server of streams.", "`nats://127.0.0.1:4222`"),
        Variable("HEADRACE_KAFKA", "Kafka bootstrap servers of streams.", "`127.0.0.1:9092`"),
        Variable("HEADRACE_REDIS", "Redis server of streams.", "`redis://127.0.0.1:6379/0`"),
        Variable("MLFLOW_TRACKING_URI",
                 "MLflow server or database of `headrace model export-mlflow`."),
        Variable("PROMETHEUS_MULTIPROC_DIR",
                 "Folder in which the workers of `headrace serve` share their metrics; the command "
                 "sets it for more than one worker."),
    )),
    Group("Amazon S3 and compatible stores", (
        Variable("AWS_ENDPOINT_URL_S3", "Address of an S3-compatible server.", "Amazon S3"),
        Variable("AWS_ENDPOINT_URL", "The same; used if `AWS_ENDPOINT_URL_S3` is not set."),
        Variable("AWS_REGION", "Region of the bucket.", "`us-east-1`"),
        Variable("AWS_DEFAULT_REGION", "The same; used if `AWS_REGION` is not set."),
        Variable("AWS_ACCESS_KEY_ID", "Key id of the credentials; the S3 libraries read it.",
                 "the role of the machine"),
        Variable("AWS_SECRET_ACCESS_KEY", "Secret of `AWS_ACCESS_KEY_ID`."),
        Variable("AWS_SESSION_TOKEN", "Session token of temporary credentials."),
    )),
    Group("Set by Headrace for its own processes", (
        Variable("DAGSTER_HOME",
                 "Dagster's folder, `dagster` in the home. Headrace's commands always use this "
                 "folder. A plain `dagster dev` reads the variable from `.env`, where Headrace "
                 "writes it."),
        Variable("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", "Time limit of sensors in a simulation."),
        Variable("HEADRACE_CLOCK", "File with the virtual time of a home, such as a simulation's. "
                 "No other home can be used while it is set."),
        Variable("HEADRACE_SIMULATED", "Pipeline that a simulation's code location loads."),
        Variable("HEADRACE_SIMULATED_PAGER", "Address to which a simulation sends its alerts."),
        Variable("HEADRACE_SIMULATED_PROJECT", "Folder of the project that is simulated."),
        Variable("HEADRACE_SERVE", "Options of `headrace serve`, passed to its workers."),
        Variable("GX_ANALYTICS_ENABLED", "`false`: Great Expectations sends no usage data."),
        Variable("PYTHONPATH", "Extended for the processes of a simulation."),
    ), "Do not set these by hand."),
)  # fmt: skip


def page() -> str:
    """Return the page; ValueError if it misses a variable of the source, or has another one."""
    listed = {variable.name for group in GROUPS for variable in group.variables}
    if sum(len(group.variables) for group in GROUPS) > len(listed):
        raise ValueError("a variable is described twice")
    used = names()
    libraries = {name for name in listed if name.startswith("AWS_")}
    if used - listed or listed - used - libraries:
        raise ValueError(
            f"not on the page: {sorted(used - listed)}; not in the source: "
            f"{sorted(listed - used - libraries)}; see tools/reference/environment.py"
        )
    parts = ["# Environment variables", HEAD]
    for group in GROUPS:
        rows = [(code(one.name), one.default, one.meaning) for one in group.variables]
        parts += [f"## {group.title}", group.intro, table(("variable", "default", "meaning"), rows)]
    return "\n\n".join(filter(None, parts))


def names() -> set[str]:
    """Return the names of all variables that the source reads or sets."""
    sources = (source for source in modules().values() if READS.search(source.text))
    return {name for source in sources for name in _names(source)}


def _names(source: Source) -> Iterator[str]:
    for scope, node in _with_scopes(source.tree, ""):
        for key in _keys(node):
            name = _resolved(source, key)
            if name:
                yield name
            elif scope not in BY_NAME:
                raise ValueError(f"{source.name}.{scope} reads a variable of unknown name")
        if isinstance(node, ast.Constant) and LITERAL.fullmatch(str(node.value)):
            yield str(node.value)


def _with_scopes(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, ast.FunctionDef) else scope
        yield scope, child
        yield from _with_scopes(child, inner)


def _keys(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the name in `os.environ[X]`, `os.environ.get(X)`, `X in os.environ`, `envvar=X`."""
    if isinstance(node, ast.Subscript) and _is_environ(node.value):
        yield node.slice
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        yield from [node.left] if _is_environ(node.comparators[0]) else []
    elif isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg == "envvar")
        called = node.func
        if isinstance(called, ast.Attribute) and node.args and (
            (_is_environ(called.value) and called.attr in {"get", "pop", "setdefault"})
            or ast.unparse(called) == "os.getenv"
        ):  # fmt: skip
            yield node.args[0]


def _is_environ(node: ast.expr) -> bool:
    return ast.unparse(node) == "os.environ"


def _resolved(source: Source, key: ast.expr) -> str | None:
    if isinstance(key, ast.Constant):
        return str(key.value)
    return source.constant(key.id) if isinstance(key, ast.Name) else None
