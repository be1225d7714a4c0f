"""A preset's network over a number of genes."""

import torch
from torch import nn

from common.models.registry import MODELS
from common.models.state import State, load_state
from common.presets import Preset


def build_model(preset: Preset, n_genes: int, seed: int) -> nn.Module:
    """A fresh model on the CPU; the same seed gives the same values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS.get(preset.model)(n_genes, preset.shape)


def restore_model(preset: Preset, n_genes: int, state: State) -> nn.Module:
    """A model on the CPU with the values of ``state``.

    Raises
    ------
    RuntimeError
        A name or a shape does not fit the preset.
    """
    # Without storage until the values come: none are drawn only to be replaced.
    with torch.device("meta"):
        model = MODELS.get(preset.model)(n_genes, preset.shape)
    load_state(model, state)
    return model


def parameter_names(preset: Preset) -> list[str]:
    """What training changes by gradients; the rest of a state is buffers."""
    parameters = _without_values(preset).named_parameters()
    return [name for name, parameter in parameters if parameter.requires_grad]


def exchanged_names(preset: Preset) -> list[str]:
    """What of a state training changes, in its order: what a round sends."""
    model = _without_values(preset)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    state = model.state_dict()
    return [n for n, value in state.items() if value.is_floating_point() and n not in frozen]


def unpruned_names(preset: Preset) -> frozenset[str]:
    """Weights that are never pruned."""
    return MODELS.get(preset.model).unpruned


def _without_values(preset: Preset) -> nn.Module:
    with torch.device("meta"):
        # The names are the same over any number of genes.
        return MODELS.get(preset.model)(1, preset.shape)
