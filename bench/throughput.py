"""Training throughput beside the same network in a bare PyTorch loop, interleaved in one process.

The bare loop holds all scaled cells dense in memory, as a tutorial would; ours makes each
mini-batch dense from CSR on disk. `python -m bench.throughput DATA_DIR`.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

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
from common.models.build import build_model
from common.panel import Scaling
from common.presets import Training, resolve
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


def main(data_dir: Path) -> None:
    torch.set_num_threads(1)
    figures, claims = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        matrix = preprocessed(data_dir / "pbmc_5study.h5ad", 2000, Path(folder) / "csr")
        x_NG = matrix.scaled(slice(None))
        rows = np.arange(len(x_NG))
        for name in ("default", "fedscgen"):
            preset = resolve(RunConfig(preset=name))
            training = replace(preset.training, local_epochs=1)
            times = {"ours": [], "bare": []}
            for repeat in range(REPEATS + 1):
                for kind in ("ours", "bare") if repeat % 2 else ("bare", "ours"):
                    model = build_model(preset, matrix.shape[1], 0)
                    start = time.perf_counter()
                    if kind == "ours":
                        cpu = torch.device("cpu")
                        fit(model, matrix, rows, training, round_=1, seed=0, device=cpu)
                    else:
                        bare_loop(model, x_NG, training)
                    times[kind].append(time.perf_counter() - start)
            # The first pair warms caches up.
            speed = {kind: len(x_NG) / statistics.median(t[1:]) for kind, t in times.items()}
            ratio = speed["ours"] / speed["bare"]
            figures[name] = {
                "cells_per_second": speed,
                "ratio": ratio,
                "seconds": times,
            }
            claims[
                f"preset {name}: {speed['ours']:,.0f} cells/s, bare loop {speed['bare']:,.0f}, "
                f"ratio {ratio:.2f} (at least 0.9)"
            ] = ratio >= 0.9
    keep("throughput", {"data": "pbmc_5study, 2000 genes", "presets": figures, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
