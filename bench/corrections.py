"""The methods of the correction benchmark: from cells to matrices of corrected cells."""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import environments
from bench.cells import Cells, given_labels, held_out
from cli.run import execute
from common.data.reader import SiteFile
from common.data.split import split_file
from report.corrected_files import corrected_files
from report.evaluation import principal_components
from report.run_evaluation import gather

N_PCS = 20
# Without early stopping both sides of a pair see as many mini-batches.
RUN = {"patience": 0}
# Masks cancel to the bit (tests/test_strategies.py): plain sums give the same, sooner. Scores come
# from the files.
PLAIN = {"secure-sum": "off", "evaluate": False}
POOLED = {"min-sites": 1}
# scGen's tutorial has 100 epochs. On 8,824 cells, mini-batches of 32 and 1,000 cells/s they would
# be a quarter of an hour: so many updates are enough for early stopping on the small sets.
SCGEN = {"max_epochs": 100, "max_updates": 2200}
HARMONY = ("2.1.0", "0.0.10")


@dataclass(frozen=True)
class Task:
    """What a method is given.

    Parameters
    ----------
    cells
        With all labels; a method must not read those of hidden cells.
    hidden
        (n_cells,) bool: cells that enter unlabelled; none of them where all are labelled.
    seed
        Of the method.
    """

    cells: Cells
    hidden: np.ndarray
    seed: int

    @classmethod
    def of(cls, cells: Cells, block: str, seed: int) -> "Task":
        """The task of a block: ``labelled`` or ``held_out``."""
        none = np.zeros(len(cells.cell), dtype=bool)
        return cls(cells, held_out(cells.site, seed) if block == "held_out" else none, seed)

    def labels(self) -> np.ndarray:
        """A label for every cell: of a hidden one that of its nearest labelled ones."""
        if not self.hidden.any():
            return self.cells.cell_type
        embedding = principal_components(self.cells.x, N_PCS, 0)
        return given_labels(embedding, self.cells.batch, self.cells.cell_type, self.hidden)


Corrected = tuple[dict[str, np.ndarray], dict[str, Any]]


def uncorrected(task: Task) -> Corrected:
    return {"": task.cells.x}, {}


def collapse(task: Task) -> Corrected:
    """The control: every cell replaced by the mean of the cells of its label."""
    labels, x = task.labels(), task.cells.x
    out = np.zeros_like(x)
    for label in np.unique(labels.astype(str)):
        out[labels == label] = x[labels == label].mean(axis=0, dtype=np.float64)
    right = labels[task.hidden] == task.cells.cell_type[task.hidden]
    return {"": out}, {"labels_right": float(right.mean())} if len(right) else {}


def harmony(version: str) -> Callable[[Task], Corrected]:
    def run(task: Task) -> Corrected:
        given = {
            "x": principal_components(task.cells.x, N_PCS, 0),
            "batch": task.cells.batch.astype(str),
        }
        command, variables = environments.harmony(version)
        return _called(command, given, variables)

    return run


def scgen(task: Task) -> Corrected:
    n_cells = len(task.cells.cell)
    updates_per_epoch = -(-int(0.9 * n_cells) // 32)
    epochs = min(SCGEN["max_epochs"], -(-SCGEN["max_updates"] // updates_per_epoch))
    given = {
        "x": task.cells.x,
        "batch": task.cells.batch.astype(str),
        "cell_type": task.labels().astype(str),
        "seed": np.array(task.seed),
        "max_epochs": np.array(epochs),
    }
    return _called(environments.scgen(), given, {})


def _called(
    command: list[str], given: dict[str, np.ndarray], variables: dict[str, str]
) -> Corrected:
    with tempfile.TemporaryDirectory() as folder:
        found = environments.call(command, Path(folder), given, variables)
    return {"": found["decoded"]}, json.loads(str(found["about"]))


def product(settings: dict[str, Any], *, pooled: bool = False) -> Callable[[Task], Corrected]:
    """A run of the product with these settings, over the sites or over one site with all cells."""

    def run(task: Task) -> Corrected:
        cells = task.cells
        values = {**RUN, **PLAIN, "seed": task.seed, **settings, **(POOLED if pooled else {})}
        if task.hidden.any():
            values["unlabelled"] = "nearest"
        with tempfile.TemporaryDirectory() as folder:
            sites = Path(folder) / "sites"
            whole = _with_hidden_labels(task, Path(folder) / "all")
            if pooled:
                sites = whole.parent
            else:
                split_file(whole, cells.site_key, sites)
            out = Path(folder) / "run"
            with (Path(folder) / "said").open("w") as said, contextlib.redirect_stdout(said):
                start = time.perf_counter()
                result = execute({"data": str(sites), **values}, out)
                seconds = time.perf_counter() - start
            matrices = corrected_matrices(out, cells)
        about = {"run_seconds": round(seconds, 2), "rounds": result["n_rounds"]}
        named = len(matrices) > 1
        return {key if named else "": x for key, x in matrices.items()}, about

    return run


def _with_hidden_labels(task: Task, folder: Path) -> Path:
    """The dataset's file, the labels of hidden cells removed."""
    import anndata

    folder.mkdir()
    path = folder / "all.h5ad"
    if not task.hidden.any():
        path.symlink_to(task.cells.path)
        return path
    data = anndata.read_h5ad(task.cells.path)
    labels = data.obs["cell_type"].astype(object)
    labels[task.hidden] = None
    data.obs["cell_type"] = labels.astype("category")
    data.write_h5ad(path)
    return path


def corrected_matrices(run_dir: Path, cells: Cells) -> dict[str, np.ndarray]:
    """A run's outputs, scaled as ``cells.x``, its cells in their order.

    Raises
    ------
    RuntimeError
        The run's genes or scaling are not those of ``cells``.
    """
    files = corrected_files(run_dir)
    found, n_cells = gather(files, max_cells=len(cells.cell), seed=0)
    names = np.concatenate([SiteFile.open(f.path, **f.keys).obs_names for f in files])
    order = np.argsort(names)[np.argsort(np.argsort(cells.cell.astype(str)))]
    before = np.concatenate(found.before)
    if n_cells != len(cells.cell) or not np.array_equal(names[order], cells.cell.astype(str)):
        raise RuntimeError(f"{cells.name}: the run holds other cells than the dataset")
    if before.shape != cells.x.shape or not np.allclose(before[order], cells.x, atol=1e-3):
        raise RuntimeError(f"{cells.name}: the run was not preprocessed as the other methods' data")
    return {name: np.concatenate(parts)[order] for name, parts in found.after.items()}


@dataclass(frozen=True)
class Method:
    """One training, which may give several matrices.

    Parameters
    ----------
    run
        From a task to matrices by name ("" where there is one) and to what is told of it.
    seeded
        Its result depends on the seed.
    labels
        It reads labels: without, hiding them changes nothing.
    settings
        What decides the result beside the cells, the seed and the code.
    """

    run: Callable[[Task], Corrected]
    seeded: bool
    labels: bool
    settings: dict[str, Any]


BOTH = {"preset": "default", "output": "both"}
# The same network on pooled cells, trained as is usual there: by mini-batches of 128.
MINI_BATCHES = {**BOTH, "strategy": "fedavg"}
# FedscGen asks for no least number of cells: 14 megakaryocytes are a reference.
FEDSCGEN = {"preset": "fedscgen", "output": "decoded", "min-reference-cells": 1}
METHODS = {
    "uncorrected": Method(uncorrected, seeded=False, labels=False, settings={}),
    "collapse": Method(collapse, seeded=False, labels=True, settings={}),
    **{
        f"harmony-{version}": Method(harmony(version), False, False, {"version": version})
        for version in HARMONY
    },
    "scgen": Method(scgen, seeded=True, labels=True, settings=SCGEN),
    "fedscgen": Method(product(FEDSCGEN), True, True, FEDSCGEN),
    "pooled": Method(product(BOTH, pooled=True), True, True, BOTH),
    "pooled-mini-batches": Method(product(MINI_BATCHES, pooled=True), True, True, MINI_BATCHES),
    "ours": Method(product(BOTH), True, True, BOTH),
}
