"""The `syncytium` command: a thin layer, no algorithm in it."""

import typer

from cli.certs import certs
from cli.check import check
from cli.compare import compare
from cli.console import Commands
from cli.demo import demo
from cli.evaluate import evaluate
from cli.fine_tune import fine_tune
from cli.join import join
from cli.keys import keys
from cli.label import label
from cli.policy import policy
from cli.report import report
from cli.run import run
from cli.sample import sample
from cli.split import split

app = typer.Typer(
    cls=Commands,
    help="Hospitals analyse single-cell RNA-seq together without showing their cells.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    *(demo, check, split, run, evaluate, report, join, label, fine_tune, compare, sample),
    *(policy, keys, certs),
):
    app.command()(_command)
