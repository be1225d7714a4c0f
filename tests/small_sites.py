"""Small sites with a given number of cells per batch and type, and a federation over them."""

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from common.wire_classification import CLASSIFICATION
from common.wire_synthesis import SYNTHESIS
from tests.in_process import run_in_process

N_GENES = 60
TINY = {"rounds": 2, "hidden": "32", "latent_dim": 5, "n_top_genes": 40, "batch_size": 32}

# Phases that only other settings than the default need, or another task.
OPTIONAL = {"agree", "meet", "partial_sums", "remainders", "roll_call", *CLASSIFICATION, *SYNTHESIS}


def site(cells: dict[tuple[str, str], int], seed: int = 0) -> anndata.AnnData:
    """Counts of a site with so many cells of each (batch, type); a type is alike at every site."""
    rng = np.random.default_rng([7, seed])
    effect = {batch: rng.normal(0, 0.4, N_GENES) for batch, _ in cells}
    parts, labels = [], []
    for (batch, cell_type), n_cells in cells.items():
        profile = np.random.default_rng([ord(c) for c in cell_type]).gamma(0.7, 2.0, N_GENES)
        depth = rng.uniform(2.0, 6.0, size=(n_cells, 1))
        parts.append(rng.poisson(depth * (0.1 + profile) * np.exp(effect[batch])))
        labels += [(batch, cell_type)] * n_cells
    order = rng.permutation(len(labels))
    obs = pd.DataFrame(
        np.array(labels, dtype=object)[order],
        columns=["batch", "cell_type"],
        index=[f"cell-{seed}-{i}" for i in range(len(labels))],
    ).astype("category")
    x = sparse.csr_matrix(np.concatenate(parts)[order].astype(np.float32))
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(N_GENES)]))


def three_sites() -> list[anndata.AnnData]:
    """Unequal sites; types A and B everywhere, C at one site only; the second has two batches."""
    return [
        site({("p", "A"): 60, ("p", "B"): 40, ("p", "C"): 30}, seed=1),
        site({("q", "A"): 30, ("q", "B"): 50, ("r", "A"): 25, ("r", "B"): 20}, seed=2),
        site({("s", "A"): 22, ("s", "B"): 21}, seed=3),
    ]


def write_sites(folder: Path, sites: list[anndata.AnnData]) -> Path:
    """``site-1.h5ad`` and on, in a new folder."""
    folder.mkdir(parents=True)
    for number, data in enumerate(sites, start=1):
        data.write_h5ad(folder / f"site-{number}.h5ad")
    return folder


def federate(out: Path, data: Path | str, n_sites: int, **settings: Any) -> dict[str, Any]:
    """A run of ``correct`` over the sites in ``data``; returns its ``run.json``."""
    # Given as a key, n-sites spares the wait for further sites. One site has no sum to hide in.
    alone = {"secure_sum": "off", "min_sites": 1} if n_sites < 2 else {}
    values = {**TINY, "n-sites": n_sites, "data": str(data), **alone, **settings}
    run_in_process(out, n_sites, **values)
    return run_json(out)


def run_json(out: Path) -> dict[str, Any]:
    """``run.json`` of a run folder."""
    return json.loads((out / "run.json").read_text())


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def leftovers(out: Path) -> list[str]:
    """Half-written or temporary files anywhere in a run folder."""
    found = (p for p in out.rglob("*") if p.name.startswith(".") or p.suffix in (".part", ".tmp"))
    return sorted(str(path.relative_to(out)) for path in found)
