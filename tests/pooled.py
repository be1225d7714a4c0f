"""Pooled correction in plain scanpy, numpy and torch: what a federated run is compared with."""

import math
from dataclasses import dataclass, field

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from torch import nn

from common.models.build import build_model
from common.presets import Preset


@dataclass
class Pooled:
    """The steps of pooled correction over the cells of ``data``, ``copies`` of them in a row."""

    data: anndata.AnnData
    preset: Preset
    seed: int
    copies: int = 1
    genes: list[str] = field(init=False)

    def preprocess(self, n_top_genes: int) -> np.ndarray:
        """Scaled log1p CP10k of the highly variable genes, genes sorted by name."""
        log = self.data[:, sorted(self.data.var_names)].copy()
        sc.pp.normalize_total(log, target_sum=1e4)
        sc.pp.log1p(log)
        sc.pp.highly_variable_genes(log, flavor="seurat", n_top_genes=n_top_genes)
        log = log[:, log.var["highly_variable"]].copy()
        self.genes = list(log.var_names)
        log.X = log.X.toarray()
        self.log = log.X.copy()
        sc.pp.scale(log, max_value=10)
        self.mean, self.sd = log.var["mean"].to_numpy(), log.var["std"].to_numpy()
        self.x = log.X.astype(np.float32)
        return self.x

    def initial(self) -> nn.Module:
        """The network before training; for the default preset at the principal axes, by SVD."""
        model = build_model(self.preset, len(self.genes), self.seed)
        if self.preset.principal_axes:
            mean = self.x.astype(np.float64).mean(axis=0)
            axes = np.linalg.svd(self.x - mean, full_matrices=False)[2].T
            axes = axes[:, : self.preset.shape.latent_dim]
            axes *= np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
            model.start_at(mean, axes)
        return model

    def train(self, model: nn.Module, train: np.ndarray) -> None:
        """A plain Adam loop, a new optimiser each round; ``train`` are rows of the first copy."""
        t = self.preset.training
        if t.local_epochs == 0:
            return self.steps(model, train)
        n_cells = len(self.x) // self.copies
        x = torch.from_numpy(self.x)
        for round_ in range(1, t.rounds + 1):
            optimizer = torch.optim.Adam(model.parameters(), lr=self.rate(round_))
            order = np.random.default_rng([self.seed, round_ if t.reshuffle else 0])
            torch.manual_seed(self.seed + 7919 * round_)
            noise = torch.Generator().manual_seed(self.seed + 7919 * round_ + 1)
            model.train()
            for epoch in range(t.local_epochs):
                if epoch == 0 or t.reshuffle:
                    permuted = order.permutation(train)
                # As few steps as keep to batch_size, the first ones with a cell more.
                small, n_larger = divmod(len(train), -(-len(train) // t.batch_size))
                first = 0
                while first < len(train):
                    size = small + (n_larger > 0)
                    rows = permuted[first : first + size]
                    first, n_larger = first + size, n_larger - 1
                    batch = x[np.concatenate([rows + k * n_cells for k in range(self.copies)])]
                    mean, log_var = model.encode(batch)
                    eps = torch.randn((size, mean.shape[1]), generator=noise)
                    z = mean + torch.exp(log_var / 2) * eps.repeat(self.copies, 1)
                    reconstruction = ((model.decode(z) - batch) ** 2).mean()
                    kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(dim=1).mean()
                    optimizer.zero_grad()
                    (reconstruction + t.kl_weight * kl).backward()
                    optimizer.step()

    def rate(self, round_: int) -> float:
        """The learning rate of a round."""
        t = self.preset.training
        if t.schedule == "constant":
            return t.learning_rate
        return t.learning_rate * (0.02 + 0.49 * (1 + math.cos(math.pi * (round_ - 1) / t.rounds)))

    def steps(self, model: nn.Module, train: np.ndarray, noisy: bool = True) -> None:
        """A step of Adam each round, its bias corrected as of a round later, as Flower does."""
        t = self.preset.training
        n_cells = len(self.x) // self.copies
        trained = [p for p in model.parameters() if p.requires_grad]
        m, v = ([torch.zeros_like(p) for p in trained] for _ in range(2))
        for r in range(1, t.rounds + 1):
            n = max(64, round(len(train) * min(1, t.batch_size / len(self.x))))
            n = min(n, len(train))
            drawn = np.random.default_rng([self.seed, r]).permutation(train)[:n]
            rows = train if n == len(train) else drawn
            batch = torch.from_numpy(
                self.x[np.concatenate([rows + k * n_cells for k in range(self.copies)])]
            )
            torch.manual_seed(self.seed + 7919 * r)
            noise = torch.Generator().manual_seed(self.seed + 7919 * r + 1)
            model.train()
            mean, log_var = model.encode(batch)
            eps = torch.randn((n, mean.shape[1]), generator=noise) * noisy
            z = mean + torch.exp(log_var / 2) * eps.repeat(self.copies, 1)
            squares = ((model.decode(z) - batch) ** 2).sum(dim=1).mean()
            kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(dim=1).mean()
            gradient = torch.autograd.grad(
                squares + len(self.genes) * t.kl_weight * kl, trained, materialize_grads=True
            )
            rate = self.rate(r) * math.sqrt(1 - 0.99 ** (r + 1)) / (1 - 0.9 ** (r + 1))
            with torch.no_grad():
                for p, g, m_p, v_p in zip(trained, gradient, m, v, strict=True):
                    m_p.mul_(0.9).add_(0.1 * g)
                    v_p.mul_(0.99).add_(0.01 * g**2)
                    p.sub_(rate * m_p / (v_p.sqrt() + 1e-8))

    def refit(self, model: nn.Module) -> None:
        """Least squares of what g leaves of x on (z, 1), with a ridge of 1e-6 mean squares."""
        z = self.latent(model).astype(np.float64)
        with torch.no_grad():
            rest = self.x - model.nonlinear_decode(torch.from_numpy(z).float()).numpy()
        design = np.column_stack([z, np.ones(len(z))])
        ridge = np.sqrt(1e-6 * (design**2).sum() / design.shape[1])
        design = np.vstack([design, ridge * np.eye(design.shape[1])])
        rest = np.vstack([rest, np.zeros((design.shape[1], rest.shape[1]))])
        solution = np.linalg.lstsq(design, rest)[0]
        with torch.no_grad():
            model.linear_decoder.weight.copy_(torch.from_numpy(solution[:-1].T))
            model.linear_decoder.bias.copy_(torch.from_numpy(solution[-1]))

    def latent(self, model: nn.Module) -> np.ndarray:
        """Posterior means."""
        model.eval()
        with torch.no_grad():
            return model.encode(torch.from_numpy(self.x))[0].numpy()

    def decode(self, model: nn.Module, latent: np.ndarray) -> np.ndarray:
        """Latents to log1p CP10k."""
        model.eval()
        with torch.no_grad():
            return model.decode(torch.from_numpy(latent)).numpy() * self.sd + self.mean


def smoothed(latent: np.ndarray, batch: np.ndarray, share: float) -> np.ndarray:
    """Every cell moved by ``share`` of the weighted way to its 5 nearest ones of its batch."""
    latent = latent.astype(np.float64)
    out = latent.copy()
    for name in np.unique(batch):
        rows = np.flatnonzero(batch == name)
        distances = cdist(latent[rows], latent[rows])
        np.fill_diagonal(distances, np.inf)
        k = min(5, len(rows) - 1)
        scale = np.sort(distances)[:, k - 1] if k else []
        for i, row in enumerate(rows if k else ()):
            near = np.argsort(distances[i])[:k]
            weight = np.exp(1 - distances[i, near] ** 2 / (scale[i] * scale[near])).clip(max=1)
            out[row] += share * (weight[:, None] * (latent[rows[near]] - latent[row])).sum(0) / k
    return out.astype(np.float32)


@dataclass
class PooledReference:
    """Mean latent of a type's largest batches, mean covariance of its large ones."""

    mean: np.ndarray
    covariance: np.ndarray


def references_of(
    latent: np.ndarray, batch: np.ndarray, cell_type: np.ndarray, least: int
) -> dict[str, PooledReference]:
    """Of each type that two batches hold, one of them with ``least`` cells."""
    cells = pd.DataFrame(latent.astype(np.float64))
    groups = cells.groupby([list(cell_type), list(batch)])
    sizes, means = groups.size(), groups.mean()
    references = {}
    for name in sorted(set(cell_type)):
        own = sizes[name]
        if len(own) >= 2 and own.max() >= least:
            mean = means.loc[name][own == own.max()].to_numpy().mean(axis=0)
            large = [groups.get_group((name, b)).cov() for b in own.index[own >= least]]
            references[name] = PooledReference(mean, sum(large).to_numpy() / len(large))
    return references


def corrected(
    latent: np.ndarray,
    batch: np.ndarray,
    cell_type: np.ndarray,
    references: dict[str, PooledReference],
    alignment: str,
) -> np.ndarray:
    """Every (batch, type) brought to its reference, its mean only in part below 5 cells."""
    out = latent.astype(np.float64)
    for name, reference in references.items():
        for own in np.unique(batch):
            rows = (batch == own) & (cell_type == name)
            if rows.any():
                out[rows] += min(1, rows.sum() / 5) * (reference.mean - latent[rows].mean(axis=0))
            if rows.sum() > 1 and alignment == "covariance":
                mean, move = out[rows].mean(axis=0), between(latent[rows], reference.covariance)
                out[rows] = mean + (out[rows] - mean) @ move
    return out.astype(np.float32)


def residual_of(
    x: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    batch: np.ndarray,
    cell_type: np.ndarray,
    types: list[str],
    least: int,
) -> np.ndarray:
    """Cell by gene: x, decode(z) and decode(z') to x', types without a reference as they were."""
    x, before, after = (values.astype(np.float64) for values in (x, before, after))
    rest = x - before
    out = x + after - before
    for name in types:
        own = [np.flatnonzero((cell_type == name) & (batch == b)) for b in np.unique(batch)]
        large = [rest[rows] for rows in own if len(rows) >= least]
        mean = np.mean([r.mean(axis=0) for r in large], axis=0)
        variance = np.mean([r.var(axis=0) for r in large], axis=0)
        for rows in own:
            for g in range(x.shape[1] if len(rows) else 0):
                n, r, values = len(rows), rest[rows, g], x[rows, g]
                spread = (n * r.var() + 25 * variance[g]) / (n + 25)
                d = after[rows, g].mean() + mean[g] - values.mean()
                error = max(values.var(), spread) / n
                w = max(0.0, 1 - 2 * error / d**2) if d else 0.0
                s = np.sqrt(variance[g] / spread) if spread > 0 else 1.0
                own_shift = after[rows, g] - after[rows, g].mean()
                out[rows, g] = values.mean() + w * d + own_shift + s * (r - r.mean())
    return out


def between(latent: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The symmetric map of optimal transport, as the geometric mean R # C^-1 of two matrices."""
    n_cells, dim = latent.shape
    own = (n_cells * np.cov(latent.T.astype(np.float64)) + 10 * reference) / (n_cells + 10)
    values, vectors = np.linalg.eigh(own)
    own = vectors @ np.diag(values.clip(1e-3 * np.trace(reference) / dim)) @ vectors.T
    return np.linalg.inv(own) @ sqrtm(own @ reference).real
