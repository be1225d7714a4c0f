"""`syncytium fine-tune`: a hospital trains a published classifier on with its own cells."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import console
from cli.reading import reads
from cli.report import report_of_run
from cli.run import bundle_settings, execute, with_settings
from common.errors import ConfigError, InputError
from common.models.classifiers.registry import CLASSIFIERS

# One site: there is no sum to hide in, and nobody to hide from.
ALONE = {"task": "classify", "min-sites": 1, "secure-sum": "off"}


@reads("batch_key", "cell_type_key", "layer", "gene_column")
def fine_tune(
    bundle: Annotated[
        Path, typer.Argument(help="the folder bundle/ of a finished run of classify")
    ],
    data: Annotated[Path, typer.Argument(help="this site's .h5ad: counts, a cell type per cell")],
    out: Annotated[Path, typer.Option(help="run folder; must not hold a run yet, unless --resume")],
    reading: dict[str, Any],
    target_f1: Annotated[
        float, typer.Option(help="stop at this macro-F1 on validation cells; 0 = by patience")
    ] = 0.0,
    scratch: Annotated[
        Path | None,
        typer.Option(help="run folder of the same from scratch, to compare the energy with"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="replace one setting")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the run in OUT that stopped or was killed")
    ] = False,
) -> None:
    """Train a published classifier on with this site's cells, on this machine alone.

    BUNDLE is the folder bundle/ of a finished run of classify: genes, classes
    and values are its own. DATA is this site's .h5ad; labels that the bundle
    does not know become new classes. A share of the cells validates and tests.

    OUT then holds a bundle of its own, with what its training took and what the
    bundle's did. Nothing leaves this machine.
    """
    values = fine_tuning_settings(bundle, target_f1) | reading
    values["data"] = str(_folder_of(data, out))
    if scratch is not None:
        values["scratch-kwh"] = _kwh_of(scratch)
    if resume:
        values["resume"] = True
    execute(with_settings(values, settings or []), out, where="settings")
    report_of_run(out, console(), draw=True)


def fine_tuning_settings(bundle: Path, target_f1: float = 0.0) -> dict[str, Any]:
    """The settings of a run of one site from a bundle.

    With a target it is that which ends the training, or the last round: macro-F1 still rises where
    the loss no longer falls. A linear classifier is trained in mini-batches: from a trained start
    the search for the optimum first goes far away from it, and ends at that of the site's cells
    alone.
    """
    own = bundle_settings(bundle)
    linear = CLASSIFIERS.get(own["classifier"]).fitted == "linear"
    strategy = {"strategy": "fedavg"} if linear else {}
    sought = {"target-f1": target_f1, "patience": 0} if target_f1 else {}
    start = {"start-from": str(bundle.expanduser().absolute())}
    return {**ALONE, **own, **strategy, **start, **sought}


def _folder_of(data: Path, out: Path) -> Path:
    """A folder in ``out`` with the site's file alone, as a link: a run reads a file per site."""
    file = data.expanduser().absolute()
    if not file.is_file():
        raise InputError(f"there is no file {data}")
    if file.suffix != ".h5ad":
        raise InputError(f"{data} is no .h5ad; give this site's AnnData file")
    folder = out.expanduser().absolute() / "data"
    link = folder / file.name
    others = [path for path in folder.glob("*.h5ad") if path.resolve() != file.resolve()]
    if others:
        raise ConfigError(f"{folder} holds the file of another run: give another folder as --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(file)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error}; give another folder") from None
    return folder


def _kwh_of(folder: Path) -> float:
    """What a finished run took: its sites and its coordinator."""
    try:
        energy = json.loads((folder / "run.json").read_text())["energy"]
        if energy["sites"]["known"]:
            return float(energy["sites"]["kwh"] + energy["coordinator"]["kwh"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"--scratch {folder}: there is no run whose energy is known; give the folder of a finished "
        "one, or set scratch-kwh"
    )
