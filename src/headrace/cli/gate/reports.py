"""`headrace reports` and `headrace gate report`: the gate's pages, served or as files."""

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.options import Batch, TableName
from headrace.cli.output import err, explained, out
from headrace.cli.shared import show_in_dagster, stopped_by_signals


@explained
def reports(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free port.")] = 3070,
    public: Annotated[
        bool,
        typer.Option("--public", help="Allow an address that other machines can reach."),
    ] = False,
) -> None:
    """Serve the report pages: pending and failed batches, one page per batch, and the monitors.

    /batch/TABLE/BATCH is one batch, /table/TABLE/PARTITION one partition, /monitor/NAME a monitor,
    and /health answers when the server is up. On a local address the pages accept decisions
    (approve, reject, acknowledge) in the name of this machine's user; on other addresses, and
    behind a proxy, they are read-only. Alerts and Dagster link to HEADRACE_REPORTS_URL. The pages
    show rows of data and have no login: put an authenticating proxy in front of a public address.
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines
    from headrace.report_server.actions import Acting, is_loopback
    from headrace.report_server.server import ReportServer
    from headrace.report_server.site import Site

    if not public and not is_loopback(host):
        raise DeclarationError(
            f"{host} is reachable from other machines, and reports show rows of data",
            where="headrace reports",
            fix="put an authenticating proxy in front, and pass --public",
        )
    pipelines, home = project_pipelines(), Home.find()
    acting = None if public else Acting(show_in_dagster(home, pipelines))
    site = Site(pipelines, home, acting)
    with ReportServer(site, host, port) as server:
        address = f"[{host}]" if ":" in host else host
        stop = stopped_by_signals()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{address}:{server.server_address[1]}/"
        err.print(f"reports on {url}{'' if server.acts else ' (read-only)'}", highlight=False)
        stop.wait()
        server.shutdown()


@explained
def report(
    table: TableName,
    partition: Batch,
    *,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; `-` prints; default: under HEADRACE_HOME."),
    ] = None,
) -> None:
    """Write the report on a batch as one self-contained HTML file.

    If a partition has several batches, the report is on the batch that determines the partition's
    verdict. The comparison of the batch's columns with earlier batches is stored in the home, so
    that the report can be rendered again without the rows.

    For example:

      headrace gate report weather 2013-07-22 --out report.html
    """
    from functools import partial

    from headrace.core.files import write_atomically
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines
    from headrace.report_server.site import action_link
    from headrace.reports.batch import render
    from headrace.reports.batch.facts import gate_report
    from headrace.reports.batch.shared_facts import one_batch, pipeline_of

    home = Home.find()
    pipeline = pipeline_of(project_pipelines(), table)
    row = one_batch(home, pipeline.table(table), partition)
    batch_id = str(row["batch"])
    link = partial(action_link, pipeline.name, table, batch_id, str(row["slot"]))
    page = render(gate_report(pipeline, home, table, batch_id, link=link, keeping=True))
    if str(to) == "-":
        sys.stdout.write(page)
        return
    path = to or home.reports / table / f"{batch_id}.html"
    write_atomically(path, page.encode())
    out.print(str(path), highlight=False, soft_wrap=True)
