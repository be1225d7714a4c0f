"""A published cohort: the bundle of a run of `synthesize`, to sample more of at no further cost."""

import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.bundle import Bundle
from common.errors import ConfigError, InputError
from common.panel import Panel
from common.synthesis.generator import Generator, State
from common.synthesis.registry import GENERATORS
from common.synthesis.schema import Schema
from common.synthesis.statement import as_json, from_json

TASK = "synthesize"
MOST_VALUES = 2**31  # 16 GiB in float64


def publish(
    folder: Path,
    generator: Generator,
    state: State,
    *,
    run: str,
    label: str,
    privacy: dict[str, Any],
    versions: dict[str, str],
) -> str:
    """Write a bundle in the place of one that a stopped run has left; returns its digest."""
    shutil.rmtree(folder, ignore_errors=True)
    schema = generator.schema
    about = {key: value for key, value in asdict(schema).items() if key != "genes"}
    said = {
        "task": TASK,
        "run": run,
        "generator": generator.name,
        "options": dict(generator.options),
        "epsilon": generator.epsilon if math.isfinite(generator.epsilon) else None,
        "delta": generator.delta,
        "schema": {**about, "classes": list(schema.classes)},
        "label": label,
        "privacy": as_json(privacy),
        "versions": versions,
    }
    scaling = np.zeros(schema.n_genes), np.ones(schema.n_genes)
    panel = Panel(schema.genes, schema.genes, *scaling)
    return Bundle(state, panel, {}, said).save(folder)


@dataclass(frozen=True)
class PublishedCohort:
    """What a bundle holds.

    Parameters
    ----------
    generator, state
        What samples, and of what.
    label
        Column of obs that has the classes.
    privacy
        What it promises, as in the cohort's own file.
    """

    generator: Generator
    state: State
    label: str
    privacy: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "PublishedCohort":
        """Read a bundle.

        Raises
        ------
        InputError
            It is damaged, of another task, or of a generator that this version does not have.
        """
        bundle = Bundle.load(folder, TASK)
        card = bundle.card
        try:
            about = {**card["schema"], "classes": tuple(card["schema"]["classes"])}
            schema = Schema(genes=bundle.panel.genes, **about)
            epsilon = math.inf if card["epsilon"] is None else float(card["epsilon"])
            made = GENERATORS.get(card["generator"])
            generator = made(schema, epsilon, float(card["delta"]), card["options"])
            label, privacy = str(card["label"]), from_json(card["privacy"])
        except (ConfigError, InputError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{folder}: the generator that the bundle names is not one that this version has "
                f"({error}): use the version that made the bundle"
            ) from None
        return cls(generator, bundle.state, label, privacy)


def counts_of(generator: Generator, state: State, per_class: int) -> np.ndarray:
    """Synthetic records of each class, int64 (n_classes,): ``per_class``, or as noisy counts say.

    Raises
    ------
    InputError
        The noisy counts tell of fewer records than classes, or of more than memory holds.
    """
    n_classes = generator.schema.n_classes
    if per_class:
        return np.full(n_classes, per_class, dtype=np.int64)
    counts = np.maximum(np.rint(generator.class_counts(state)), 0).astype(np.int64)
    # Classes have at least as many as the noise may hide: their sum says little of too few.
    told = float(state.get("n_counted", counts.sum()))
    if told < n_classes:
        raise InputError(
            f"the noisy counts tell of {max(round(told), 0)} records of {n_classes} classes, fewer "
            "than one each: does a file have these labels, spelled so, in the column that "
            "cell-type-key names (syncytium check --task synthesize --classes)? Else there are too "
            "few to learn from at this epsilon; take more sites or fewer classes, or set "
            "samples-per-class"
        )
    if counts.sum() * generator.schema.n_genes > MOST_VALUES:
        raise InputError(
            f"the noisy counts tell of {int(counts.sum()):,} records of "
            f"{generator.schema.n_genes:,} genes, more than are made at once: set "
            "samples-per-class; at a small epsilon they may be noise alone"
        )
    return counts
