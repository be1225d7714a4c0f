"""The figures of a federated evaluation from pooled cells, by their definitions, in plain numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common.federated_evaluation import axes, fourier
from report.corrected_files import corrected_files
from report.run_evaluation import gather


def pooled_figures(out: Path, model: nn.Module, least: int = 5) -> dict[str, Any]:
    """Overall, per type and of the reconstruction, over the corrected files of a run folder."""
    cells, _ = gather(corrected_files(out), max_cells=10**6, seed=0)
    batch = np.concatenate(cells.batch)
    cell_type = np.concatenate(cells.cell_type)
    versions = {"uncorrected": np.concatenate(cells.before)}
    versions |= {name: np.concatenate(parts) for name, parts in cells.after.items()}
    groups = _groups(batch, cell_type, least)
    overall: dict[str, Any] = {"expression": {}, "latent": {}}
    per_type: dict[str, Any] = {name: {} for name in groups}
    model.eval()
    for version, x in versions.items():
        with torch.no_grad():
            z = model.encode(torch.from_numpy(x.astype(np.float32)))[0].numpy()
        for space, view in (("expression", _components(x)), ("latent", z.astype(np.float64))):
            overall[space][version], by_type = _view(view, groups, batch, cell_type)
            for name, figures in by_type.items():
                per_type[name].setdefault(space, {})[version] = figures
    x = versions["uncorrected"].astype(np.float64)
    with torch.no_grad():
        inputs = torch.from_numpy(versions["uncorrected"].astype(np.float32))
        decoded = model.decode(model.encode(inputs)[0]).numpy()
    return {
        "overall": overall,
        "per_type": per_type,
        "reconstruction": 1 - ((x - decoded) ** 2).sum() / (x**2).sum(),
        "means_reconstruction": 1 - _without_oneself(x, batch, cell_type) / (x**2).sum(),
    }


def _groups(batch: np.ndarray, cell_type: np.ndarray, least: int) -> dict[str, list[np.ndarray]]:
    """Rows of each large enough batch, of types that two sites have in such batches."""
    sites = np.array([name.split("/")[0] for name in batch])
    found = {}
    for name in sorted({t for t in cell_type if t is not None}):
        own = [np.flatnonzero((batch == b) & (cell_type == name)) for b in sorted(set(batch))]
        own = [rows for rows in own if len(rows) >= least]
        if len({sites[rows[0]] for rows in own}) >= 3:
            found[name] = own
    return found


def _components(x: np.ndarray) -> np.ndarray:
    """Principal components by the whole covariance: exact where there are no more than 60 genes."""
    assert x.shape[1] <= axes.SKETCH
    centred = x - x.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, values >= 1e-6 * values.max()][:, ::-1][:, : axes.N_AXES]
    largest = vectors[np.abs(vectors).argmax(axis=0), range(vectors.shape[1])]
    components = centred @ (vectors * np.sign(largest))
    return np.pad(components, ((0, 0), (0, axes.N_AXES - components.shape[1])))


def _view(view, groups, batch, cell_type):
    by_type, residuals = {}, []
    for name, own in groups.items():
        centred = view - mean_of_means(view, own)
        u = centred / np.sqrt(mean_of_means((centred**2).sum(axis=1), own))
        rng = np.random.default_rng(fourier.SEED)
        phases = rng.uniform(0, 2 * np.pi, fourier.N_FEATURES)
        directions = rng.standard_normal((view.shape[1], fourier.N_FEATURES))
        waves = np.cos(u @ directions * np.sqrt(2) + phases)
        outer = (u[:, :, None] * u[:, None, :]).reshape(len(u), -1)
        by_type[name] = {
            "batch_share": unbiased_share(waves, own),
            "batch_share_of_products": unbiased_share(outer, own),
        }
        features = np.hstack([u, u**2])
        residuals.append((features - mean_of_means(features, own), own))
    figures = {
        key: np.mean([by_type[name][key] for name in groups])
        for key in ("batch_share", "batch_share_of_products")
    }
    figures["batch_probe"] = _probe(residuals)
    everything = [rows for own in groups.values() for rows in own]
    grand = mean_of_means(view, everything)
    spread = mean_of_means(((view - grand) ** 2).sum(axis=1), everything)
    of_types = [((mean_of_means(view, own) - grand) ** 2).sum() for own in groups.values()]
    sizes = [len(own) for own in groups.values()]
    figures["type_share"] = np.average(of_types, weights=sizes) / spread
    between = total = 0.0
    for name in sorted(set(batch)):
        own = [np.flatnonzero((batch == name) & (cell_type == t)) for t in set(cell_type) - {None}]
        own = [rows for rows in own if len(rows) > 1]
        scatter = ((view[np.concatenate(own)] - view[np.concatenate(own)].mean(axis=0)) ** 2).sum()
        if len(own) > 1:
            inside = view[np.concatenate(own)]
            by_chance = sum(
                (1 - len(r) / len(inside)) * view[r].var(axis=0, ddof=1).sum() for r in own
            )
            means = [((view[r].mean(axis=0) - inside.mean(axis=0)) ** 2).sum() for r in own]
            between += np.dot([len(r) for r in own], means) - by_chance
            total += scatter
    figures["type_separation"] = between / total
    return figures, by_type


def mean_of_means(values: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Every group counts alike, whatever its cells."""
    return np.mean([values[group].mean(axis=0) for group in groups], axis=0)


def unbiased_share(features: np.ndarray, groups: list[np.ndarray]) -> float:
    """Variance between groups, less what it would be by chance, beside that within them."""
    means = np.array([features[group].mean(axis=0) for group in groups])
    within = np.array([features[group].var(axis=0, ddof=1).sum() for group in groups])
    by_chance = (within / [len(group) for group in groups]).mean()
    between = means.var(axis=0).sum() - (1 - 1 / len(groups)) * by_chance
    return between / (between + within.mean())


def _probe(residuals: list[tuple[np.ndarray, list[np.ndarray]]]) -> float:
    dim = residuals[0][0].shape[1]
    total, between, degrees = np.zeros((dim, dim)), np.zeros((dim, dim)), 0
    for features, groups in residuals:
        degrees += len(groups) - 1
        for group in groups:
            mean, n = features[group].mean(axis=0), len(group)
            total += features[group].T @ features[group] / n
            by_chance = (1 - 1 / len(groups)) * np.cov(features[group].T) / n
            between += np.outer(mean, mean) - by_chance
    ridge = 1e-3 * np.trace(total) / dim
    return np.trace(np.linalg.solve(total + ridge * np.eye(dim), between)) / degrees


def _without_oneself(x: np.ndarray, batch: np.ndarray, cell_type: np.ndarray) -> float:
    """Squared error of the mean of the other cells of the same batch and type; alone: of 0."""
    error = 0.0
    for row in range(len(x)):
        others = (batch == batch[row]) & (cell_type == cell_type[row])
        others[row] = False
        error += ((x[row] - (x[others].mean(axis=0) if others.any() else 0.0)) ** 2).sum()
    return error
