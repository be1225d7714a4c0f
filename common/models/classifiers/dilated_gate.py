"""A gate of dilated convolutions over hidden units: scSMD's multi-dilated attention.

References
----------
Cui et al. 2025, doi:10.1186/s12859-025-06047-x.
"""

import torch
from torch import nn


class DilatedGate(nn.Module):
    """h sigmoid(mix(conv_1(h), ..., conv_k(h))), each convolution three units wide.

    Parameters
    ----------
    dilations
        Distance between the units that one convolution looks at.
    """

    def __init__(self, dilations: tuple[int, ...]):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(1, 1, kernel_size=3, padding=d, dilation=d) for d in dilations
        )
        self.mix = nn.Conv1d(len(dilations), 1, kernel_size=1)

    def forward(self, h_BH: torch.Tensor) -> torch.Tensor:
        """The gated units, (n_cells, n_units)."""
        signal = h_BH.unsqueeze(1)
        scales = torch.cat([convolution(signal) for convolution in self.convolutions], dim=1)
        return h_BH * torch.sigmoid(self.mix(scales)).squeeze(1)
