"""`syncytium label`: a site labels its cells with a published classifier."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cli.console import console, shown, stops
from cli.later_site import AS_IN_ITS_RUN, show_lacking, show_page, told
from cli.reading import reads
from common.node_config import NodeConfig

if TYPE_CHECKING:
    from client.labelling import Labelled

_DEFAULTS = {name: field.default for name, field in NodeConfig.model_fields.items()}


@reads("batch_key", "layer", "gene_column")
def label(
    bundle: Annotated[
        Path, typer.Argument(help="the folder bundle/ of a finished run of classify")
    ],
    site: Annotated[Path, typer.Argument(help="this site's .h5ad: counts, a batch per cell")],
    out: Annotated[Path, typer.Option(help="folder for labelled.h5ad and report.html")],
    reading: dict[str, Any],
    cell_type_key: Annotated[
        str | None,
        typer.Option(
            help="obs column with the site's own labels, which the answers are compared with; "
            "'' = none",
            show_default="cell_type, where there is one",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            help="a cell answered with less is unknown, 0 to 1", show_default="the bundle's"
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
    """Label this site's cells with a published classifier, no other site online.

    BUNDLE is the folder bundle/ of a finished run of classify. SITE is this
    site's .h5ad, with counts (in X, a layer or raw) and the run's names of
    genes; it needs no cell types.

    labelled.h5ad is the file as it was, with the answers in obs: cell types,
    missing where the classifier is not sure, the most probable type of every
    cell, and how sure that is. Genes that the file lacks count as zeros, up to
    --max-padded. Nothing leaves this machine.
    """
    from client.labelling import label as label_site

    if cell_type_key is not None:
        reading = {**reading, "cell-type-key": cell_type_key}
    screen = console()
    with stops(), told(screen) as tell:
        labelled = label_site(
            bundle,
            site,
            out,
            settings={} if max_padded is None else {"max-padded": max_padded},
            reading={**reading, "device": device, "report": report},
            min_confidence=min_confidence,
            tell=tell,
        )
    summarise(labelled, out, screen, report=report)


def summarise(labelled: "Labelled", out: Path, screen: Console, *, report: bool) -> None:
    """Say what the cells are, how sure that is, and where the results are."""
    screen.print(
        f"[bold green]done[/]: {labelled.n_cells:,} cells of {escape(labelled.site)} labelled by "
        f"the classifier {escape(labelled.classifier)} of run {escape(labelled.run)} "
        f"({labelled.n_genes:,} genes)"
    )
    for name, n_cells in labelled.counts.items():
        screen.print(f"{n_cells:9,}  {name}", markup=False)
    if "unknown" in labelled.counts:
        screen.print(
            f"[yellow]unknown[/]: answered with a confidence below {labelled.threshold:g}; "
            "syncytium_most_probable has the answers"
        )
    if labelled.left_out:
        screen.print(
            f"[yellow]not taught[/]: {escape(', '.join(labelled.left_out))}; too few sites of the "
            "run held them, and such cells get another answer"
        )
    show_lacking(labelled, "syncytium_classifier", screen)
    if labelled.accuracy is not None:
        screen.print(
            f"own labels: of {labelled.n_compared:,} cells whose label the classifier knows it "
            f"gives {labelled.accuracy:.1%} the same; macro-F1 {labelled.macro_f1:.3f}"
        )
    screen.print(f"labelled cells: {shown(out / 'labelled.h5ad')}", markup=False)
    show_page(labelled.page_fault, out, screen, report=report)
