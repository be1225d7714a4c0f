"""Small expression matrices and networks for the tests of common/."""

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse

from common.data.matrix import ExpressionMatrix
from common.models.state import State, averaged_names
from common.panel import Scaling
from common.presets import LOCAL_TRAINING, PRESETS, Preset

CPU = torch.device("cpu")


def small_matrix(n_cells: int = 60, n_genes: int = 20, seed: int = 0) -> ExpressionMatrix:
    """log1p expression of cells in two groups, with its own mean and standard deviation."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, n_cells)
    rate = np.exp(rng.normal(0.5, 0.8, (2, n_genes)))[group]
    log = np.log1p(rng.poisson(rate)).astype(np.float32)
    sd = log.std(axis=0, ddof=1)
    scaling = Scaling(log.mean(axis=0), np.where(sd > 0, sd, 1).astype(np.float32))
    return ExpressionMatrix(sparse.csr_matrix(log), scaling)


def small_preset(name: str = "default", *, latent_dim: int = 3, **training) -> Preset:
    """A preset with a narrow network, trained at the sites."""
    preset = PRESETS[name]
    local = preset.training if preset.training.local_epochs else LOCAL_TRAINING
    shape = replace(preset.shape, hidden=(8, 6)[: len(preset.shape.hidden)], latent_dim=latent_dim)
    return replace(preset, shape=shape, training=replace(local, **training))


def flatten(state: State) -> np.ndarray:
    """The averaged entries as one vector, in the state's order."""
    return np.concatenate([state[name].ravel() for name in averaged_names(state)])
