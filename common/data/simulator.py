"""Semi-synthetic hospitals: counts drawn from profiles of real PBMCs, with known site effects."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from scipy import sparse

from common.data.simulated_site import SimulatedSite, draw_counts, draw_site, site_name
from common.data.simulation_plan import SimulationPlan
from common.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["SimulationPlan", "simulate_site", "simulate_sites"]

PROVENANCE = (
    "semi-synthetic: counts drawn from a model fitted to 700 real PBMCs (Zheng et al. 2017, "
    "doi:10.1038/ncomms14049, as packed with scanpy); no cell here is a real cell of a patient"
)
HOW = (
    "counts[c, g] ~ NB(mean = library_factor[c] * varm['type_profiles'][g, t] * "
    "exp(var['site_effect'][g] + varm['batch_effects'][g, b] + varm['type_site_effects'][g, t]), "
    "dispersion = var['dispersion'][g]), var = mean + dispersion * mean^2; columns of varm are "
    "in the order of cell_types and batches here; effects are natural logs"
)


def simulate_site(plan: SimulationPlan, index: int) -> "AnnData":
    """One site, the same whichever others are made.

    Parameters
    ----------
    index
        From 0; 0 is ``hospital-1``.

    Returns
    -------
    site
        X: CSR float32 of whole counts. obs: ``batch``, ``cell_type``, ``library_factor``. The
        truth is in ``var`` and ``varm``; ``uns["simulation"]`` says how they make the counts.

    Raises
    ------
    ConfigError
        The plan has no such site.
    """
    site = draw_site(plan, index)
    data = _annotate(plan, index, site)
    data.X = sparse.vstack(list(draw_counts(plan, index, site)), format="csr")
    return data


def simulate_sites(plan: SimulationPlan, folder: str | Path) -> list[Path]:
    """Write ``hospital-1.h5ad`` and on, a chunk of cells at a time: all of them, or none.

    Parameters
    ----------
    folder
        Made if it does not exist. Nothing there is overwritten.

    Raises
    ------
    InputError
        A file of that name is already there.
    """
    folder = Path(folder).expanduser()
    targets = [folder / f"{site_name(index)}.h5ad" for index in range(plan.n_sites)]
    present = [str(target) for target in targets if target.exists()]
    if present:
        raise InputError(
            f"{', '.join(present[:3])} exist(s) already ({len(present)} of {len(targets)} files): "
            "remove them or choose another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    # In the target folder, so that each file moves into place in one step.
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=folder) as scratch:
        for index, target in enumerate(targets):
            _write(plan, index, Path(scratch, target.name))
        for target in targets:
            if target.exists():
                raise InputError(f"{target} appeared meanwhile: remove it, or use another folder.")
            Path(scratch, target.name).replace(target)
    return targets


def _write(plan: SimulationPlan, index: int, path: Path) -> None:
    from anndata.io import sparse_dataset, write_elem

    site = draw_site(plan, index)
    _annotate(plan, index, site).write_h5ad(path)
    chunks = draw_counts(plan, index, site)
    with h5py.File(path, "r+") as file:
        write_elem(file, "X", next(chunks), dataset_kwargs={"indptr_dtype": np.int64})
        stored = sparse_dataset(file["X"])
        for chunk in chunks:
            stored.append(chunk)


def _annotate(plan: SimulationPlan, index: int, site: SimulatedSite) -> "AnnData":
    import anndata
    import pandas as pd

    names = [f"{site_name(index)}-{number:06d}" for number in range(1, len(site.type_codes) + 1)]
    obs = pd.DataFrame(
        {
            "batch": pd.Categorical.from_codes(site.batch_codes, site.batches),
            "cell_type": pd.Categorical.from_codes(site.type_codes, site.cell_types),
            "library_factor": site.library_factor,
        },
        index=names,
    )
    # A type that the site lacks must not survive as an empty category.
    obs["cell_type"] = obs["cell_type"].cat.remove_unused_categories()
    var = pd.DataFrame(
        {"site_effect": site.site_effect, "dispersion": site.dispersions}, index=list(site.genes)
    )
    return anndata.AnnData(
        obs=obs,
        var=var,
        varm={
            "type_profiles": site.profiles,
            "batch_effects": site.batch_effects,
            "type_site_effects": site.type_effects,
        },
        uns={
            "simulation": {
                "provenance": PROVENANCE,
                "how": HOW,
                "plan": json.dumps(asdict(plan)),
                "site": site_name(index),
                "cell_types": np.array(site.cell_types, dtype=object),
                "batches": np.array(site.batches, dtype=object),
            }
        },
    )
