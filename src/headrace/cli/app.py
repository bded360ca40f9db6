"""Command tree. Commands import what they need when they run, so that --help is instant."""

import sys
import traceback
from typing import Annotated

import typer
from typer.core import TyperGroup

from headrace.cli.commands import CommandGroup
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
    gates,
    lint,
    mutes,
    recalls,
    reports,
    shadow,
    suggest,
    units,
)
from headrace.cli.lineage import impact, lineage, trace
from headrace.cli.model import models, register, retrain
from headrace.cli.monitor import monitor
from headrace.cli.output import BROKEN, out
from headrace.cli.project import (
    alerts,
    automation,
    maintain,
    new,
    runs,
    sources,
    status,
    stream,
    ui,
)
from headrace.cli.serving import online, serve
from headrace.cli.verify import consistency, faults, monitors, own_faults, simulate

DATA, DATASETS, MODELS = "Data and quality", "Features and datasets", "Models and monitors"
SERVING, OPERATIONS = "Serving", "Operations"


class Root(TyperGroup):
    """Root group: commands in the order of their panels (Typer puts commands before groups)."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """List the commands without a panel first."""
        panels = ["", DATA, DATASETS, MODELS, SERVING, OPERATIONS]
        return sorted(
            super().list_commands(ctx),
            key=lambda name: panels.index(
                getattr(self.commands[name], "rich_help_panel", None) or ""
            ),
        )


app = CommandGroup(
    name="headrace",
    cls=Root,
    help="Data pipelines with contracts, quality gates, reproducible datasets and drift monitors.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, requested: bool) -> None:
    if requested:
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
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda requested: _version(requested=requested),
        ),
    ] = False,
) -> None:
    """Options of every command."""


SHOW, DECIDE, CHECKS = "Show", "Decide", "Checks and suites"
STORE, PRIVACY = "Store", "Privacy and retention"

app.command("demo")(runs.demo)
app.command("run")(runs.run)
app.command("status")(status.status)
app.command("ui")(ui.ui)
app.add_typer(new.app, name="new")

app.add_typer(sources.app, name="source", rich_help_panel=DATA)
app.add_typer(contracts.app, name="contract", rich_help_panel=DATA)
app.add_typer(gates.app, name="gate", rich_help_panel=DATA)
app.add_typer(stream.app, name="stream", rich_help_panel=DATA)

app.add_typer(features.app, name="features", rich_help_panel=DATASETS)
app.add_typer(datasets.app, name="dataset", rich_help_panel=DATASETS)
app.command("trace", rich_help_panel=DATASETS)(trace.trace)
app.command("impact", rich_help_panel=DATASETS)(impact.impact)
app.add_typer(lineage.app, name="lineage", rich_help_panel=DATASETS)

app.add_typer(models.app, name="model", rich_help_panel=MODELS)
app.command("retrain", rich_help_panel=MODELS)(retrain.retrain)
app.add_typer(monitor.app, name="monitor", rich_help_panel=MODELS)

app.command("serve", rich_help_panel=SERVING)(serve.serve)
app.add_typer(online.app, name="online", rich_help_panel=SERVING)

app.add_typer(automation.app, name="automation", rich_help_panel=OPERATIONS)
app.add_typer(alerts.app, name="alert", rich_help_panel=OPERATIONS)
app.command("reports", rich_help_panel=OPERATIONS)(reports.reports)
app.command("maintain", rich_help_panel=OPERATIONS)(maintain.maintain)
verify = CommandGroup(
    no_args_is_help=True,
    help="Verification: consistency of training and serving, leakage, injected faults, simulation.",
)
app.add_typer(verify, name="verify", rich_help_panel=OPERATIONS)

verify.command("parity")(consistency.parity)
verify.command("leaks")(consistency.leaks)
verify.command("skew")(consistency.skew)
verify.command("faults")(faults.faults)
verify.command("own-faults")(own_faults.own_faults)
verify.command("monitors")(monitors.monitors)
verify.command("simulate")(simulate.simulate)
verify.command("self-test")(consistency.self_test)

contracts.app.command("propose")(proposals.propose)
contracts.app.command("export")(interchange.export)
contracts.app.command("import")(interchange.import_)

gates.app.command("rows", rich_help_panel=SHOW)(batch_actions.rows)
gates.app.command("compare", rich_help_panel=SHOW)(compare.compare)
gates.app.command("report", rich_help_panel=SHOW)(reports.report)
gates.app.command("export", rich_help_panel=SHOW)(compare.export)
gates.app.command("log", rich_help_panel=SHOW)(batch_actions.log)
for action in (batch_actions.approve, batch_actions.quarantine, batch_actions.reject):
    gates.app.command(action.__name__, rich_help_panel=DECIDE)(action)
gates.app.command("rerun", rich_help_panel=DECIDE)(batch_actions.rerun)
gates.app.command("ack", rich_help_panel=DECIDE)(batch_actions.ack)
gates.app.command("recall", rich_help_panel=DECIDE)(recalls.recall)
gates.app.command("restore", rich_help_panel=DECIDE)(recalls.restore)
gates.app.command("mute", rich_help_panel=CHECKS)(mutes.mute)
gates.app.command("mutes", rich_help_panel=CHECKS)(mutes.mutes)
gates.app.command("unmute", rich_help_panel=CHECKS)(mutes.unmute)
gates.app.command("shadow", rich_help_panel=CHECKS)(shadow.shadow)
gates.app.command("suggest", rich_help_panel=CHECKS)(suggest.suggest)
gates.app.command("lint", rich_help_panel=CHECKS)(lint.lint)
gates.app.command("convert-units", rich_help_panel=CHECKS)(units.convert_units)

datasets.app.command("release")(release.release)
datasets.app.command("rebuild")(rebuild.rebuild)
datasets.app.command("show", rich_help_panel=SHOW)(show.show)
datasets.app.command("card", rich_help_panel=SHOW)(card.card)
datasets.app.command("diff", rich_help_panel=SHOW)(diff.diff)
datasets.app.command("coverage", rich_help_panel=SHOW)(coverage.coverage)
datasets.app.command("lineage", rich_help_panel=SHOW)(dataset_lineage.lineage)
datasets.app.command("verify", rich_help_panel=STORE)(store.verify)
datasets.app.command("pull", rich_help_panel=STORE)(store.pull)
datasets.app.command("gc", rich_help_panel=STORE)(store.gc)
datasets.app.command("erase", rich_help_panel=PRIVACY)(erase.erase)
datasets.app.command("retire", rich_help_panel=PRIVACY)(erase.retire)

models.app.command("register")(register.register)

# Command names of version 0.1, which still work.
app.renamed("simulate", "verify simulate", simulate.simulate)
features.app.renamed("features parity", "verify parity", consistency.parity)
features.app.renamed("features leaks", "verify leaks", consistency.leaks)
features.app.renamed("features audit", "verify skew", consistency.skew)
features.app.renamed("features planted", "verify self-test", consistency.self_test)
gates.app.renamed("gate faults", "verify faults", faults.faults)
gates.app.renamed("gate release", "gate approve", batch_actions.approve)
monitor.app.renamed("monitor bench", "verify monitors", monitors.monitors)
online.app.renamed("online fill", "online sync", online.sync)
online.app.renamed("online thin", "online prune", online.prune)
sources.app.renamed("source try", "source inspect", sources.inspect)


def main() -> None:
    """Run the command; a crash exits with 3, since 1 means that something is blocked."""
    try:
        app()
    except Exception:  # noqa: BLE001 - the traceback is for a bug report
        traceback.print_exc()
        sys.exit(BROKEN)
