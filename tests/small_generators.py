"""Small generators for tests of what is made of them: one that is private, one that copies."""

import numpy as np

from common.synthesis.generator import Generator, Stage, State
from common.synthesis.records import Records
from common.synthesis.schema import Schema

GRID = 2**14


class ClassMeans(Generator):
    """Counts and clipped sums of each class; samples are the means with noise of sd 1.

    A record adds its class's one and its values, each record's within an L2 ball of sqrt(n_genes).
    The sums' clip is centred by the counts' stage only in that it comes after it.
    """

    name = "class means"

    @property
    def stages(self) -> tuple[Stage, ...]:
        n = self.schema.n_classes
        n_sums = n * self.schema.n_genes
        return (
            Stage("counts", n, float(GRID), 0.2, 1e9 * GRID),
            Stage("sums", n_sums, float(GRID), 0.8, 1e9 * GRID),
        )

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        out = np.zeros(stage.n_values, dtype=np.int64)
        weight = GRID / np.bincount(records.units, minlength=1)[records.units]
        if stage.name == "counts":
            np.add.at(out, records.classes, weight.astype(np.int64))
            return out
        radius = np.sqrt(self.schema.n_genes)
        norms = np.linalg.norm(records.values, axis=1, keepdims=True)
        clipped = records.values / radius * np.minimum(1, radius / np.maximum(norms, 1e-12))
        sums = out.reshape(self.schema.n_classes, -1)
        np.add.at(sums, records.classes, np.trunc(clipped * weight[:, None]).astype(np.int64))
        return out

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        return {**state, stage.name: total / GRID}

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        n, radius = np.maximum(state["counts"], 1.0), np.sqrt(self.schema.n_genes)
        means = state["sums"].reshape(len(n), -1) * radius / n[:, None]
        classes = np.repeat(np.arange(len(n)), counts)
        return means[classes] + rng.normal(size=(len(classes), means.shape[1])), classes


def memorised(records: Records, n: int, jitter: float, seed: int = 0) -> Records:
    """A "synthetic" cohort of records that are real ones, moved a little."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(records.values), n)
    values = records.values[rows] + jitter * rng.normal(size=(n, records.values.shape[1]))
    return Records(values, records.classes[rows], np.arange(n))


def schema(n_genes: int, n_classes: int = 2, unit: str = "record") -> Schema:
    """A schema of so many genes and classes."""
    genes = tuple(f"G{i}" for i in range(n_genes))
    return Schema(genes, tuple(f"c{i}" for i in range(n_classes)), -10.0, 10.0, unit)


def population(n: int, n_genes: int, *, seed: int, n_classes: int = 2, apart: float = 0.5):
    """Records of Gaussian classes, whose means are the same for every seed; each its own unit."""
    means = apart * np.random.default_rng(99).normal(size=(n_classes, n_genes))
    rng = np.random.default_rng(seed)
    classes = rng.integers(n_classes, size=n)
    return Records(means[classes] + rng.normal(size=(n, n_genes)), classes, np.arange(n))
