"""Graphs among the cells of a mini-batch, and how far an embedding cuts them.

References
----------
Shi & Malik 2000 (normalised cut), doi:10.1109/34.868688; Xu et al. 2024 (scCDCG),
arXiv:2404.06167.
"""

import torch

from common.precision import in_float32


@in_float32
def cosine_graph(x_BG: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of each two cells, without loops and negative edges, (n_cells, n_cells)."""
    unit_BG = torch.nn.functional.normalize(x_BG, dim=1)
    return _edges(unit_BG @ unit_BG.T)


@in_float32
def covariance_graph(x_BG: torch.Tensor) -> torch.Tensor:
    """Covariance over genes of each two cells, without loops and negative edges."""
    centred_BG = x_BG - x_BG.mean(dim=1, keepdim=True)
    return _edges(centred_BG @ centred_BG.T / x_BG.shape[1])


def _edges(similarity_BB: torch.Tensor) -> torch.Tensor:
    """A graph may have no negative edge: degrees could be zero or less."""
    edges_BB = similarity_BB.clamp_min(0)
    return edges_BB - torch.diag(edges_BB.diagonal())


def laplacian(edges_BB: torch.Tensor) -> torch.Tensor:
    """Symmetric normalised Laplacian I - D^-1/2 A D^-1/2; zero in the rows of lone cells."""
    degree_B = edges_BB.sum(dim=1)
    joined_B = degree_B > 0
    scale_B = torch.where(joined_B, degree_B, 1.0).rsqrt()
    return torch.diag(joined_B.to(edges_BB.dtype)) - scale_B[:, None] * edges_BB * scale_B


@in_float32
def cut(z_BD: torch.Tensor, laplacian_BB: torch.Tensor) -> torch.Tensor:
    """tr(Z' L Z) / (n_cells d): small where cells that are joined lie together."""
    return (z_BD * (laplacian_BB @ z_BD)).sum() / z_BD.numel()


@in_float32
def orthogonality(z_BD: torch.Tensor) -> torch.Tensor:
    """||Z'Z / n_cells - I||^2 / d^2, without which all cells in one point would cut nothing."""
    n_cells, d = z_BD.shape
    second_DD = z_BD.T @ z_BD / n_cells
    return (second_DD - torch.eye(d, device=z_BD.device)).square().sum() / d**2
