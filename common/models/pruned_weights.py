"""Weights that are pruned stay zero while a site trains."""

from collections.abc import Callable

import torch
from torch import nn

from common.pruned import Kept


def hold_zeros(model: nn.Module, kept: Kept) -> None:
    """Take the pruned weights out of every gradient: no optimiser moves them then."""
    parameters = dict(model.named_parameters())
    for name, mask in kept.of.items():
        parameters[name].register_hook(_times(torch.from_numpy(mask)))


def _times(mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def masked(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal mask
        mask = mask.to(gradient.device)
        return gradient * mask

    return masked
