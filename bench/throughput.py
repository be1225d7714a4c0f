"""Training throughput beside a bare PyTorch loop and FedscGen's loop, interleaved in one process.

The bare loop trains the same network on scaled cells that it holds dense in memory, as a tutorial
would; ours makes each mini-batch dense from CSR on disk. Of the default preset a site computes the
gradients, of as many cells as a step of all sites has; the coordinator's Adam is in the bare loop
alone. FedscGen's loop trains its own network as
its code does, apart from the validation pass and the four worker processes of its data loader, both
of which slow it down. `python -m bench.throughput DATA_DIR`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.report import keep
from common.config import RunConfig
from common.data.csr import open_csr, write_csr
from common.data.hvg import highly_variable
from common.data.matrix import ExpressionMatrix
from common.data.moments import GeneMoments, site_sums
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.reader import SiteFile
from common.gradient import descent
from common.models.build import build_model
from common.panel import Scaling
from common.presets import Preset, Training, resolve
from common.training import fit

REPEATS = 7


def preprocessed(path: Path, n_top: int, folder: Path) -> ExpressionMatrix:
    """The file's most variable genes as a site caches them."""
    site = SiteFile.open(path)
    sums = site_sums((counts for _, counts in site.iter_counts()), len(site.genes))
    moments = GeneMoments(**{**sums, "n_cells": site.n_cells})
    chosen = highly_variable(moments, n_top)
    mean, sd = moments.log_mean_sd()
    chunks = (
        log1p_cp10k(counts[:, chosen], library_sizes(counts)) for _, counts in site.iter_counts()
    )
    write_csr(chunks, len(chosen), folder)
    scaling = Scaling(mean[chosen].astype(np.float32), sd[chosen].astype(np.float32))
    return ExpressionMatrix(open_csr(folder), scaling)


def gradients(
    model: torch.nn.Module,
    matrix: ExpressionMatrix,
    rows: np.ndarray,
    training: Training,
    **how: Any,
) -> None:
    """A site's work for steps that together see every cell."""
    for step in np.array_split(rows, -(-len(rows) // training.batch_size)):
        descent(model, matrix, step, training, **how)


def bare_loop(model: torch.nn.Module, x_NG: torch.Tensor, training: Training) -> None:
    """One epoch as in a PyTorch tutorial: permute, index, step."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate, fused=True)
    noise = torch.Generator().manual_seed(0)
    for batch in torch.randperm(len(x_NG)).split(training.batch_size):
        reconstruction, kl = model.losses(x_NG[batch], noise)
        loss = reconstruction + training.kl_weight * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def published_loop(model: torch.nn.Module, x_NG: torch.Tensor) -> None:
    """One epoch as in FedscGen (scarches): cells one by one from a loader, in their order.

    Adam over one tensor after the other; the KL divergence summed over the mini-batch, times 1e-6.
    """
    from torch.utils.data import DataLoader, TensorDataset

    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-8, foreach=False)
    noise = torch.Generator().manual_seed(0)
    for (x_BG,) in DataLoader(TensorDataset(x_NG), batch_size=50, drop_last=True):
        reconstruction, kl = model.losses(x_BG, noise)
        loss = reconstruction + 1e-6 * len(x_BG) * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def speeds(
    epochs: dict[str, tuple[Preset, Callable[[torch.nn.Module], object]]], shape: tuple[int, int]
) -> dict[str, Any]:
    """Cells per second of each kind of epoch, in turns, by the median; and all seconds."""
    n_cells, n_genes = shape
    seconds: dict[str, list[float]] = {kind: [] for kind in epochs}
    for repeat in range(REPEATS + 1):
        for kind in list(epochs)[:: 1 if repeat % 2 else -1]:
            preset, epoch = epochs[kind]
            model = build_model(preset, n_genes, 0)
            start = time.perf_counter()
            epoch(model)
            seconds[kind].append(time.perf_counter() - start)
    # The first turn warms caches up.
    middle = {kind: n_cells / statistics.median(times[1:]) for kind, times in seconds.items()}
    return {"cells_per_second": middle, "seconds": seconds}


def main(data_dir: Path) -> None:
    torch.set_num_threads(1)
    cpu, figures, claims = torch.device("cpu"), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        matrix = preprocessed(data_dir / "pbmc_5study.h5ad", 2000, Path(folder) / "csr")
        x_NG = matrix.scaled(slice(None))
        rows = np.arange(len(x_NG))
        published = resolve(RunConfig(preset="fedscgen"))
        for name in ("default", "fedscgen"):
            preset = resolve(RunConfig(preset=name))
            epoch = gradients if name == "default" else fit
            training = replace(preset.training, local_epochs=1)
            ours = partial(epoch, training=training, round_=1, seed=0, device=cpu)
            epochs = {
                "ours": (preset, partial(ours, matrix=matrix, rows=rows)),
                "bare": (preset, partial(bare_loop, x_NG=x_NG, training=training)),
                "published": (published, partial(published_loop, x_NG=x_NG)),
            }
            figures[name] = speeds(epochs, matrix.shape)
            speed = figures[name]["cells_per_second"]
            ratios = {kind: speed["ours"] / speed[kind] for kind in ("bare", "published")}
            figures[name]["ratio"] = ratios
            claims[
                f"preset {name}: {speed['ours']:,.0f} cells/s, bare loop {speed['bare']:,.0f}, "
                f"ratio {ratios['bare']:.2f} (at least 0.9)"
            ] = ratios["bare"] >= 0.9
            if name == "default":
                claims[
                    f"preset default: {speed['ours']:,.0f} cells/s, FedscGen's network in its own "
                    f"loop {speed['published']:,.0f}, ratio {ratios['published']:.2f} (at least 2)"
                ] = ratios["published"] >= 2
    keep("throughput", {"data": "pbmc_5study, 2000 genes", "presets": figures, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
