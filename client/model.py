"""The network at the site, with the coordinator's or a bundle's values."""

import torch
from torch import nn

from client.fixed_values import kept
from client.site import Site
from common.device import resolve_device
from common.models.build import restore_model
from common.models.state import State
from common.presets import Preset, preset_of, resolve
from strategies.records import Request


def received_model(site: Site, request: Request) -> tuple[nn.Module, Preset, torch.device]:
    """The network with the coordinator's values, the run's preset, and the site's device."""
    # A model that is not trained in this run has the network of its own bundle.
    frozen = site.config.model
    preset = preset_of(request.values["network"]) if frozen else resolve(site.config)
    # In training, what no training changes is kept here.
    state = kept(site, request.values.get("fixed", "")) | request.model
    return model_at(site, preset, len(request.panel.genes), state)


def model_at(
    site: Site, preset: Preset, n_genes: int, state: State
) -> tuple[nn.Module, Preset, torch.device]:
    """A network with the values of ``state``, its preset, and the site's device."""
    device = resolve_device(site.node.device)
    torch.set_num_threads(site.node.threads)
    return restore_model(preset, n_genes, state), preset, device
