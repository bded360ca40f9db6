"""The command tree. Commands import what they need when they run, so that --help is instant."""

import sys
import traceback
from typing import Annotated

import typer

from headrace.cli.contract import contracts, interchange, proposals
from headrace.cli.dataset import (
    card,
    coverage,
    datasets,
    diff,
    erase,
    rebuild,
    release,
    show,
    store,
)
from headrace.cli.dataset import (
    lineage as dataset_lineage,
)
from headrace.cli.features import features
from headrace.cli.gate import (
    batch_actions,
    compare,
    faults,
    gates,
    lint,
    recalls,
    reports,
    shadow,
    suggest,
    units,
)
from headrace.cli.lineage import impact, lineage, trace
from headrace.cli.model import models, register, retrain
from headrace.cli.monitor import bench, monitor
from headrace.cli.output import BROKEN, out
from headrace.cli.project import (
    alerts,
    automation,
    maintain,
    new,
    runs,
    simulate,
    sources,
    status,
    stream,
    ui,
)
from headrace.cli.serving import online, serve

app = typer.Typer(
    name="headrace",
    help="Gated data pipelines: from raw deliveries to training data models can be trusted on.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, asked: bool) -> None:
    if asked:
        import headrace

        out.print(headrace.__version__, highlight=False)
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and stop.",
            is_eager=True,
            callback=lambda asked: _version(asked=asked),
        ),
    ] = False,
) -> None:
    """Options of every command."""


app.command("demo")(runs.demo)
app.command("run")(runs.run)
app.command("status")(status.status)
app.command("ui")(ui.ui)
app.command("serve")(serve.serve)
app.command("retrain")(retrain.retrain)
app.command("maintain")(maintain.maintain)
app.command("simulate")(simulate.simulate)
app.command("reports")(reports.reports)
app.add_typer(features.app, name="features")
app.add_typer(sources.app, name="source")
contracts.app.command("propose")(proposals.propose)
contracts.app.command("export")(interchange.export)
contracts.app.command("import")(interchange.import_)
app.add_typer(contracts.app, name="contract")
gates.app.command("recall")(recalls.recall)
gates.app.command("restore")(recalls.restore)
batch_actions.register(gates.app)
gates.app.command("report")(reports.report)
gates.app.command("shadow")(shadow.shadow)
gates.app.command("faults")(faults.faults)
gates.app.command("lint")(lint.lint)
gates.app.command("compare")(compare.compare)
gates.app.command("export")(compare.export)
gates.app.command("suggest")(suggest.suggest)
gates.app.command("convert-units")(units.convert_units)
app.add_typer(gates.app, name="gate")
app.add_typer(alerts.app, name="alert")
app.add_typer(automation.app, name="automation")
app.add_typer(stream.app, name="stream")
app.add_typer(online.app, name="online")
datasets.app.command("card")(card.card)
datasets.app.command("erase")(erase.erase)
datasets.app.command("retire")(erase.retire)
datasets.app.command("show")(show.show)
datasets.app.command("coverage")(coverage.coverage)
datasets.app.command("diff")(diff.diff)
datasets.app.command("lineage")(dataset_lineage.lineage)
datasets.app.command("release")(release.release)
datasets.app.command("rebuild")(rebuild.rebuild)
datasets.app.command("pull")(store.pull)
datasets.app.command("verify")(store.verify)
datasets.app.command("gc")(store.gc)
app.add_typer(datasets.app, name="dataset")
models.app.command("register")(register.register)
app.add_typer(models.app, name="model")
monitor.app.command("bench")(bench.bench)
app.add_typer(monitor.app, name="monitor")
app.command("trace")(trace.trace)
app.command("impact")(impact.impact)
app.add_typer(lineage.app, name="lineage")
app.add_typer(new.app, name="new")


def main() -> None:
    """Run the command; one that crashes ends with 3, so that 1 keeps its meaning."""
    try:
        app()
    except Exception:  # noqa: BLE001 - the traceback is for whoever reports it
        traceback.print_exc()
        sys.exit(BROKEN)
