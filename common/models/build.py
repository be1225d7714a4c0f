"""A preset's network over a number of genes."""

import torch
from torch import nn

from common.models.registry import MODELS
from common.presets import Preset


def build_model(preset: Preset, n_genes: int, seed: int) -> nn.Module:
    """A fresh model on the CPU; the same seed gives the same values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS.get(preset.model)(n_genes, preset.shape)
