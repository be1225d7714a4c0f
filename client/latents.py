"""A site's latents: its cells encoded, and moved towards their neighbours if the preset says so."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from client.site import Site
from common.coding import encode
from common.panel import Panel
from common.presets import Preset
from common.smoothing import smoothed


@dataclass(frozen=True)
class Latents:
    """Each (n_cells, latent_dim), float32.

    Parameters
    ----------
    encoded
        Posterior means.
    smoothed
        These moved towards their neighbours: what references are made of and what is corrected.
    """

    encoded: np.ndarray
    smoothed: np.ndarray


def latents_of(
    site: Site, panel: Panel, model: nn.Module, preset: Preset, device: torch.device
) -> Latents:
    """The latents that this site kept of the same model, or else new ones, which it keeps."""
    deciding = f"{model.encoder_digest()} {preset.smoothing!r}"
    key = hashlib.blake2b(deciding.encode(), digest_size=16).hexdigest()
    kept = site.kept_latent(panel, key)
    if kept is None:
        encoded = encode(model, site.matrix(panel), device)
        kept = np.stack([encoded, smoothed(encoded, site.file.batches, preset.smoothing, device)])
        site.keep_latent(panel, key, kept)
    return Latents(*kept)
