"""`syncytium join`: a later site corrects itself from a published bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cli.console import console, shown, stops
from cli.label_counts import label_counts
from cli.later_site import AS_IN_ITS_RUN, show_lacking, show_page, told
from cli.reading import reads_a_file
from common.node_config import NodeConfig

if TYPE_CHECKING:
    from client.joining import Joined

_DEFAULTS = {name: field.default for name, field in NodeConfig.model_fields.items()}


@reads_a_file
def join(
    bundle: Annotated[Path, typer.Argument(help="the folder bundle/ of a finished run")],
    site: Annotated[
        Path, typer.Argument(help="this site's .h5ad: counts, a batch and a cell type per cell")
    ],
    out: Annotated[Path, typer.Option(help="folder for corrected.h5ad and report.html")],
    reading: dict[str, Any],
    output: Annotated[
        str | None, typer.Option(help="decoded, residual or both", show_default=AS_IN_ITS_RUN)
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            help="cells without a label that steers: leave, or nearest, as their nearest labelled "
            "cells",
            show_default=AS_IN_ITS_RUN,
        ),
    ] = None,
    max_padded: Annotated[
        float | None,
        typer.Option(
            help="share of the bundle's genes that the file may lack", show_default=AS_IN_ITS_RUN
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")] = _DEFAULTS["device"],
    report: Annotated[bool, typer.Option(help="draw report.html, some 25 seconds")] = _DEFAULTS[
        "report"
    ],
) -> None:
    """Correct this site's cells with a published bundle, no other site online.

    BUNDLE is the folder bundle/ of a finished run: card.json and
    model.safetensors. SITE is this site's .h5ad, with counts (in X, a layer or
    raw), the run's names of genes, and in obs a batch and a cell type for each
    cell, named as in the run.

    Types that the bundle does not have are not shifted to a reference; genes
    that the file lacks count as zeros, up to --max-padded. Both are told in the
    end. Nothing leaves this machine.
    """
    from client.joining import join as join_site

    given = {"output": output, "unlabelled": unlabelled, "max-padded": max_padded}
    screen = console()
    with stops(), told(screen) as tell:
        joined = join_site(
            bundle,
            site,
            out,
            settings={key: value for key, value in given.items() if value is not None},
            reading={**reading, "device": device, "report": report},
            tell=tell,
        )
    summarise(joined, out, screen, report=report)


def summarise(joined: "Joined", out: Path, screen: Console, *, report: bool) -> None:
    """Say what was done with the cells, what was not, and where the results are."""
    n_cells, n_shifted = joined.counts["n_cells"], joined.counts["n_shifted"]
    screen.print(
        f"[bold green]done[/]: {n_cells:,} cells of {escape(joined.site)} corrected, "
        f"{n_shifted:,} of them shifted to the references of run {escape(joined.run)} "
        f"({joined.n_genes:,} genes)"
    )
    show_lacking(joined, "syncytium", screen)
    for cell_type, n_cells in joined.unshifted.items():
        screen.print(
            f"[yellow]not shifted[/] {escape(cell_type)}: {n_cells:,} cells, the bundle has no "
            "reference of it"
        )
    for cell_type in joined.by_own_batches:
        screen.print(
            f"[yellow]of this site[/] {escape(cell_type)}: the bundle has no reference of it, "
            "shifted by this site's own batches only"
        )
    for line in label_counts(joined.counts):
        screen.print(f"[yellow]labels[/] {line}")
    if not n_shifted:
        screen.print(
            "[yellow]no cell type of this file has a reference in the bundle: do both name their "
            "types alike?[/]"
        )
    screen.print(f"corrected cells: {shown(out / 'corrected.h5ad')}", markup=False)
    show_page(joined.page_fault, out, screen, report=report)
