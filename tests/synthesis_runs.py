"""Run folders of synthesize, made without a run: real files, a cohort, its statement."""

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from common.synthesis.records import Records
from tests.report_runs import BITING, config
from tests.small_generators import population

CLASSES = ("Basal", f"Lum {BITING}", "Her2")
KEY = "subtype"
STATEMENT = {
    "private": True,
    "epsilon": 1.0,
    "delta": 1e-5,
    "unit": "record",
    "colluding": 0,
    "epsilon_outsiders": 1.0,
    "epsilon_colluding": {"1": 1.37},
    "not_covered": [f"names {BITING}"],
}


def cells(n: int, seed: int, n_genes: int = 30) -> Records:
    """Of three classes."""
    return population(n, n_genes, seed=seed, n_classes=3, apart=0.8)


def h5ad(path: Path, records: Records, key: str = "cell_type", **obs: Any) -> Path:
    """Write records as a file; "G9" and so on are their genes."""
    names = pd.DataFrame(
        {key: pd.Categorical.from_codes(records.classes, CLASSES), **obs},
        index=[f"{path.stem}-{i}" for i in range(len(records.values))],
    )
    genes = pd.DataFrame(index=[f"G{i}" for i in range(records.values.shape[1])])
    path.parent.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(records.values.astype(np.float32), names, genes).write_h5ad(path)
    return path


def made_cohort(
    folder: Path,
    made: Records | None = None,
    statement: dict[str, Any] | None = None,
    **changed: Any,
) -> Path:
    """A finished run over two simulated sites; its folder. ``folder/held_out.h5ad`` is beside."""
    h5ad(folder / "data" / "a.h5ad", cells(90, 1), key=KEY)
    h5ad(folder / "data" / "b.h5ad", cells(70, 2), key=KEY)
    h5ad(folder / "held_out.h5ad", cells(120, 3), key=KEY)
    run = folder / "run"
    path = h5ad(run / "synthetic.h5ad", made or cells(150, 4), key=KEY)
    cohort = anndata.read_h5ad(path)
    if privacy := STATEMENT if statement is None else statement:
        cohort.uns["privacy"] = privacy
    cohort.write_h5ad(path)
    settings = config(task="synthesize", data=str(folder / "data"), cell_type_key=KEY)
    about = {
        "task": "synthesize",
        "run_id": "7",
        "status": "finished",
        "started": "2026-01-02T03:04:05.000+00:00",
        "ended": "2026-01-02T03:04:45.000+00:00",
        "config": settings
        | {"generator": "gaussian", "expression": "log", "privacy-unit": "record", **changed},
        "versions": {"python": "3.11.7"},
        "sites": {s: {"node": s, "n_genes": 30, "versions": {}} for s in ("a", "b")},
        "n_genes": 30,
        "n_rounds": 2,
        "n_synthetic": 150,
        "privacy": statement or STATEMENT,
    }
    (run / "run.json").write_text(json.dumps(about))
    return run
