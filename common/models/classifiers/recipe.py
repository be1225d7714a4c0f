"""How a classifier is trained at a site, and over how many rounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# What of a recipe is another where a round is one step of all sites (fedsgd), which together make
# fewer steps than a pass over the cells of one of them.
JOINT: Mapping[str, Any] = MappingProxyType(
    {
        "rounds": 100,
        "local_epochs": 0,
        "batch_size": 1024,
        "learning_rate": 5e-3,
        "schedule": "cosine",
        # A step is less work than all validation cells.
        "validate_every": 5,
        # In so few steps a rare type is not heard otherwise.
        "class_weights": "balanced",
    }
)

# What is another where a run starts from a bundle: short, and falling to almost nothing, with
# steps that a trained network's few epochs can still use. Chosen on validation cells of held-out
# studies: docs/fine-tuning.md.
FROM_BUNDLE: Mapping[str, Any] = MappingProxyType(
    {
        "rounds": 15,
        "local_epochs": 1,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "class_weights": "balanced",
        "patience": 5,
    }
)
# The same where a round is one step of all sites.
FROM_BUNDLE_JOINT: Mapping[str, Any] = MappingProxyType(
    {"rounds": 30, "learning_rate": 2e-3, "batch_size": 512, "patience": 10}
)


@dataclass(frozen=True)
class ClassifierTraining:
    """Local training and its rounds; the names that :class:`common.presets.Training` has, too.

    Parameters
    ----------
    rounds, local_epochs
        Federated rounds, and passes over a site's training cells within each.
    batch_size
        Cells per step.
    learning_rate
        At the first round.
    optimizer
        ``"adam"``, ``"sgd"`` or ``"rmsprop"``; its moments start anew every round.
    schedule
        ``"constant"``, ``"cosine"`` towards 2 % of ``learning_rate``, or ``"exponential"``, which
        ends at ``final_share`` of it. A rate is one round's: a schedule over steps would give
        large sites other rates than small ones.
    gradient_norm
        Longer gradients are cut to this length; 0 leaves them.
    scaled
        Feed expression scaled by the pooled moments and clipped, else log1p CP10k.
    reshuffle
        Draw new mini-batches every epoch.
    validation_share
        Share of each label's cells held out.
    patience
        Rounds without a lower validation loss after which training stops; 0: never.
    validate_every
        Rounds from one validation to the next, unless ``patience`` waits for each.
    weighting
        By what the sites' models are averaged: ``"cells"``, or ``"sites"``, all alike.
    class_weights
        ``"none"`` weighs cells alike, ``"balanced"``, ``"sqrt"`` or ``"effective"`` by their type;
        see :func:`common.classification.class_weights.class_weights`.
    logit_adjustment, pseudo_count, keep_frequencies
        0 leaves the logits; what a site adds to its counts; whether the answers keep the pooled
        frequencies of the types or hold them alike. See
        :func:`common.classification.class_weights.logit_offsets`.
    """

    rounds: int
    local_epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: str = "constant"
    final_share: float = 1.0
    gradient_norm: float = 0.0
    scaled: bool = False
    reshuffle: bool = True
    validation_share: float = 0.1
    patience: int = 0
    validate_every: int = 1
    weighting: str = "cells"
    class_weights: str = "none"
    logit_adjustment: float = 0.0
    pseudo_count: float = 0.0
    keep_frequencies: bool = False

    def validates(self, round_: int) -> bool:
        """Whether the model that a round (counted from 1) starts from is validated."""
        return bool(self.patience) or (round_ - 1) % self.validate_every == 0
