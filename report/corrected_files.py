"""The corrected files of one run, in its folder or gathered from the sites into any other.

Files of sites that joined later, by the run's bundle, belong to them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.bundle import Bundle
from common.errors import InputError
from common.panel import Panel
from common.settings import READING


@dataclass(frozen=True)
class CorrectedFile:
    """A site's corrected .h5ad and what it says of its run.

    Parameters
    ----------
    site
        The name by which its batches are told from other sites'.
    run, bundle
        The run whose model it is corrected with, and the hash of its bundle: the same in files that
        the run's sites wrote and in those of sites that joined later.
    outputs
        Names in obsm of its corrected expression, (n_cells, n_genes) each.
    keys
        How :meth:`~common.data.reader.SiteFile.open` reads its counts and labels.
    cells
        A hash of its latents: two files of the same cells have the same.
    """

    site: str
    path: Path
    run: str
    bundle: str
    panel: Panel
    n_cells: int
    outputs: tuple[str, ...]
    keys: dict[str, Any]
    cells: str

    @classmethod
    def read(cls, site: str, path: Path) -> "CorrectedFile":
        """Read what a run wrote into the file beside the cells.

        Raises
        ------
        InputError
            No run wrote it, or another version did.
        """
        import h5py
        from anndata.io import read_elem

        try:
            with h5py.File(path, "r") as file:
                if "uns/syncytium" not in file:
                    raise InputError(
                        f"{path} was not written by a run: uns has no entry 'syncytium'; give a "
                        "folder with corrected files alone"
                    )
                about = read_elem(file["uns/syncytium"])
                latent = file["obsm/X_latent"][:]
            names = (tuple(map(str, about[key])) for key in ("vocabulary", "genes"))
            return cls(
                site,
                path,
                str(about["run"]),
                str(about["bundle"]),
                Panel(*names, np.asarray(about["scale_mean"]), np.asarray(about["scale_sd"])),
                len(latent),
                tuple(map(str, about["outputs"])),
                {key: _plain(about[key]) for key in READING},
                hashlib.sha256(np.ascontiguousarray(latent)).hexdigest(),
            )
        except OSError as error:
            raise InputError(
                f"{path} was not written by a run: it is no .h5ad ({error})"
            ) from error
        except KeyError as error:
            raise InputError(
                f"{path} was not written by this version: {error.args[0]}; run it again"
            ) from error


def _plain(value: Any) -> str | float:
    return float(value) if isinstance(value, float) else str(value)


def corrected_files(folder: Path) -> list[CorrectedFile]:
    """The corrected files in a folder, all of one run's bundle.

    Parameters
    ----------
    folder
        A simulated run's, with ``sites/NAME/corrected.h5ad`` and ``bundle/``; or one into which
        files were gathered as ``NAME.h5ad`` or ``NAME/corrected.h5ad``. If that has a ``bundle/``
        too, they must be its run's.

    Raises
    ------
    InputError
        There is none, one is of another run, or two hold the same cells.
    """
    simulated = {path.parent.name: path for path in sorted(folder.glob("sites/*/corrected.h5ad"))}
    paths = simulated or _gathered(folder)
    if not paths:
        raise InputError(
            f"{folder}: there are no corrected files; give the folder of a finished simulation, or "
            "one with the sites' corrected files as NAME.h5ad or NAME/corrected.h5ad (on real "
            "nodes they stay at the sites)"
        )
    # A simulated run's folder has its bundle; without it it is not whole.
    with_bundle = simulated or (folder / "bundle").exists()
    bundle = Bundle.load(folder / "bundle") if with_bundle else None
    files = [CorrectedFile.read(site, path) for site, path in paths.items()]
    first = files[0]
    seen: dict[str, Path] = {}
    for file in files:
        if bundle:
            run = str(bundle.card.get("run"))
            _require_run(file, "the run's bundle", run, bundle.panel, bundle.digest)
        else:
            _require_run(file, first.path, first.run, first.panel, first.bundle)
        if file.outputs != first.outputs:
            raise InputError(
                f"{file.path} holds {', '.join(file.outputs)} and {first.path} "
                f"{', '.join(first.outputs)}: give files with the same outputs"
            )
        if file.cells in seen:
            raise InputError(f"{file.path} and {seen[file.cells]} hold the same cells: remove one")
        seen[file.cells] = file.path
    return files


def _gathered(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    paths = [*folder.glob("*.h5ad"), *folder.glob("*/corrected.h5ad")]
    for path in sorted(p for p in paths if not p.name.startswith(".")):
        name = path.stem if path.parent == folder else path.parent.name
        if name in found:
            raise InputError(f"{found[name]} and {path} are both of a site {name!r}: remove one")
        found[name] = path
    return found


def _require_run(
    file: CorrectedFile, than: str | Path, run: str, panel: Panel, bundle: str
) -> None:
    """Raise InputError unless the file was written by ``run``, or with its ``bundle``."""
    for name in ("genes", "vocabulary"):
        if getattr(file.panel, name) != getattr(panel, name):
            raise InputError(
                f"{file.path} holds other {name} than {than}: it is another run's; keep the files "
                "of one run in the folder"
            )
    if file.run != run:
        raise InputError(
            f"{file.path} was written by run {file.run} and {than} by run {run}: put back the "
            "file of this run"
        )
    for name in ("mean", "sd"):
        if not np.allclose(getattr(file.panel, name), getattr(panel, name), rtol=1e-6, atol=0):
            raise InputError(
                f"{file.path} was scaled by another {name} than {than}: it is another run's; keep "
                "the files of one run in the folder"
            )
    if file.bundle != bundle:
        raise InputError(
            f"{file.path} was corrected with another bundle than {than}, of the same run {run}: "
            "correct one of them again with the other's"
        )
