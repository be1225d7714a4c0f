"""`syncytium compare`: methods of training side by side, in quality, energy and emissions."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.console import console, shown, stops
from cli.run import execute, prepared, read_settings
from cli.superlink import own_superlink
from common.comparison.methods import METHODS, methods_of
from report.page import duration


def compare(
    conf: Annotated[Path, typer.Argument(help="the run's settings, as conf/classify.toml")],
    data: Annotated[Path, typer.Option(help="a folder with one .h5ad per site")],
    out: Annotated[
        Path, typer.Option(help="receives runs, tables and a page; not yet there unless --resume")
    ],
    methods: Annotated[
        str,
        typer.Option(
            help=f"two or more of {', '.join(METHODS)}, or of your own as "
            "NAME:key=value;key=value, with commas between them"
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="replace one setting, of all methods"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="runs of each method that count, 3 or more")] = 3,
    target_f1: Annotated[
        float,
        typer.Option(
            help="macro-F1 on validation cells at which each run stops; 0 = equal work instead"
        ),
    ] = 0.0,
    floor: Annotated[
        float | None,
        typer.Option(
            help="least quality of a method to choose",
            show_default="the baseline's mean less 0.02",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="of the order, and of the first repeat's runs",
            show_default="the settings'",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on with the comparison in OUT, also by more repeats"),
    ] = False,
) -> None:
    """Compare methods of training: quality, energy, emissions.

    Simulated sites train by each method, at equal work or until they reach
    the same quality. A first run is discarded, the order is random within
    every repeat, and the runs of a repeat share their seed.
    """
    # It brings torch and every classifier.
    from cli.compared_runs import ComparedRuns
    from common.comparison.plan import comparison_plan

    screen, out = console(), out.expanduser().absolute()
    base = {**read_settings(conf, settings or []), "data": str(data.expanduser().absolute())}
    for key in ("out", "resume"):
        base.pop(key, None)
    plan = comparison_plan(
        base,
        methods_of(methods),
        repeats=repeats,
        seed=seed,
        floor=floor,
        target=target_f1,
        where=str(conf),
    )
    for name, values in plan.settings.items():
        prepared(values, out / "runs" / name, where=f"method {name}")
    with stops(), contextlib.ExitStack() as stack:
        run_once = _Simulation(out / "flower.log", stack)
        line = stack.enter_context(_Line.on(screen))
        record = ComparedRuns(plan, out, run_once, line.tell, resume=resume).make()
    show_comparison(record, out, screen)


class _Simulation:
    """Runs on one SuperLink, which is started with the first of them."""

    def __init__(self, log: Path, stack: contextlib.ExitStack):
        self.log, self.stack, self.flower = log, stack, None

    def __call__(self, values: dict[str, Any], out: Path) -> dict[str, Any]:
        if self.flower is None:
            self.flower = self.stack.enter_context(own_superlink(self.log))
        # Each run's progress is not this comparison's.
        return execute(values, out, flower=self.flower, screen=Console(quiet=True))


class _Line:
    """One line of progress, which a terminal shows in place; elsewhere a line for each run."""

    def __init__(self, screen: Console, status: Any):
        self.screen, self.status = screen, status

    @classmethod
    @contextlib.contextmanager
    def on(cls, screen: Console) -> Iterator["_Line"]:
        if not screen.is_terminal:
            yield cls(screen, None)
            return
        with screen.status("starting Flower") as status:
            yield cls(screen, status)

    def tell(self, number: int, of_all: int, what: str, left: float | None) -> None:
        text = f"run {number} of {of_all}: {what}" if number else f"before {of_all} runs: {what}"
        if left is not None:
            text += f"; about {duration(left)} left"
        if self.status is None:
            self.screen.print(text, markup=False)
        else:
            self.status.update(text)


def show_comparison(record: dict[str, Any], out: Path, screen: Console) -> None:
    """Write table, plot and page of a finished comparison, and print the table."""
    from report.comparison_page import write_comparison
    from report.comparison_table import comparison_table

    screen.print(comparison_table(record))
    files = write_comparison(record, out)
    screen.print(f"comparison: {', '.join(shown(path) for path in files)}", markup=False)
