"""Presets: a network, how it starts and how it is trained."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.config import RunConfig
from common.errors import ConfigError, InputError
from common.models.vae import VAEShape
from common.pruned import prune_after
from common.strategy_names import StrategyName


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    strategy
        How the sites' replies become one model.
    rounds, local_epochs
        Federated rounds, and passes over a site's training cells within each; 0 passes where a
        round is one step of all sites (``fedsgd``).
    batch_size
        Cells per step; of all sites together where they make it together.
    learning_rate
        Adam's, at the first round.
    schedule
        ``"constant"``, or ``"cosine"`` towards 2 % of ``learning_rate`` over the rounds: smaller
        steps late in training keep the sites' models together.
    kl_weight
        Weight of the KL divergence per cell against the squared error per cell and gene.
    validation_share
        Share of each batch's cells held out.
    reshuffle
        Draw new mini-batches every epoch; FedscGen shuffles once.
    weighting
        By what the sites' models are averaged: ``"cells"``, or ``"sites"``, all alike.
    patience
        Rounds without a lower validation loss after which training stops; 0: never.
    """

    strategy: StrategyName
    rounds: int
    local_epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    kl_weight: float
    validation_share: float
    reshuffle: bool
    weighting: str
    patience: int


@dataclass(frozen=True)
class Preset:
    """A named choice of network and training.

    Parameters
    ----------
    model
        A name in the registry of models.
    principal_axes
        Start the network's linear path at the pooled principal axes, which needs one summed
        phase more; see ``common/principal_axes.py``.
    refit_decoder
        Refit the decoder's linear path after training; see ``common/decoder_refit.py``.
    alignment
        What of a type's batches is made equal: ``"mean"``, or ``"covariance"`` too; see
        ``common/alignment.py``.
    smoothing
        How far cells move towards their neighbours, 0 to 1; see ``common/smoothing.py``.
    """

    model: str
    shape: VAEShape
    training: Training
    principal_axes: bool
    refit_decoder: bool
    alignment: str
    smoothing: float


# What the default's network is trained by where the sites train their own models.
LOCAL_TRAINING = Training(
    strategy="fedavg",
    rounds=12,
    local_epochs=3,
    batch_size=128,
    learning_rate=1e-3,
    schedule="cosine",
    kl_weight=5e-4,
    validation_share=0.1,
    reshuffle=True,
    weighting="cells",
    patience=5,
)

PRESETS = {
    # FedscGen as published: KL weight 1e-6 summed over a batch of 50 is 5e-5 per cell, and a plain
    # average, which on unequal sites gives other figures than one weighted by cells. Quirks of its
    # code that are defects (a sample as latent, batch-norm buffers left local, pooled
    # preprocessing) are not rebuilt.
    "fedscgen": Preset(
        model="vae",
        shape=VAEShape(
            hidden=(800, 800),
            latent_dim=10,
            norm="batch",
            plain_first_layer=True,
            dropout=0.05,
            slope=0.3,
        ),
        training=Training(
            strategy="fedavg",
            rounds=8,
            local_epochs=2,
            batch_size=50,
            learning_rate=1e-3,
            schedule="constant",
            kl_weight=5e-5,
            validation_share=0.1,
            reshuffle=False,
            weighting="sites",
            patience=5,
        ),
        principal_axes=False,
        refit_decoder=False,
        alignment="mean",
        smoothing=0.0,
    ),
    "default": Preset(
        model="linear_vae",
        shape=VAEShape(
            hidden=(512,),
            latent_dim=40,
            norm="layer",
            plain_first_layer=False,
            dropout=0.05,
            slope=0.3,
        ),
        training=replace(
            LOCAL_TRAINING,
            strategy="fedsgd",
            rounds=100,
            local_epochs=0,
            batch_size=2048,
            learning_rate=2e-3,
            # The learning rate has to fall to its end.
            patience=0,
        ),
        principal_axes=True,
        refit_decoder=True,
        alignment="covariance",
        smoothing=0.4,
    ),
}


def resolve(config: RunConfig) -> Preset:
    """The preset of a run with the run's own values put in.

    Raises
    ------
    ConfigError
        A width or the batch size is too small to train, or no round is left after pruning.
    """
    preset = PRESETS[config.preset]
    hidden = tuple(int(width) for width in config.hidden.split(",") if width)
    if config.vae_form == "reduced":
        hidden = tuple(width // 2 for width in preset.shape.hidden)
    if any(width < 1 for width in hidden):
        raise ConfigError(f"hidden = {config.hidden!r}: each width must be at least 1")
    shape = {"hidden": hidden, "latent_dim": config.latent_dim}
    training = {
        key: getattr(config, key)
        for key in ("rounds", "local_epochs", "batch_size", "learning_rate", "kl_weight")
    }
    patience = {"patience": config.patience} if config.patience >= 0 else {}
    if config.batch_size == 1:
        raise ConfigError("batch-size = 1: a mini-batch needs at least 2 cells")
    own = preset.training
    if own.strategy == "fedsgd" != config.strategy_name:
        own = LOCAL_TRAINING
    own = replace(own, strategy=config.strategy_name)
    trained = replace(own, **{k: v for k, v in training.items() if v}, **patience)
    prune_after(config, trained.rounds)
    return replace(
        preset,
        shape=replace(preset.shape, **{key: value for key, value in shape.items() if value}),
        training=trained,
        **aligning(config, preset),
    )


def aligning(config: RunConfig, preset: Preset) -> dict[str, Any]:
    """What of a preset is no network and no training: the run's own values, or the preset's."""
    return {
        "alignment": config.alignment or preset.alignment,
        "smoothing": preset.smoothing if config.smoothing < 0 else config.smoothing,
    }


def preset_values(preset: Preset) -> dict[str, Any]:
    """A preset as JSON values."""
    return json.loads(json.dumps(asdict(preset)))


def _with_what_was_added(values: Any) -> Any:
    """Values of an earlier version: what trained a network does not decide what it computes."""
    training = values.get("training") if isinstance(values, dict) else None
    if not isinstance(training, dict):
        return values
    return {**values, "training": {"strategy": "fedavg", "patience": 5, **training}}


def preset_of(values: Any) -> Preset:
    """The preset of :func:`preset_values`.

    Raises
    ------
    InputError
        This version has no such network.
    """
    values = _with_what_was_added(values)
    try:
        preset = TypeAdapter(Preset).validate_python(values)
        known = preset_values(preset) == values
    except ValidationError:
        known = False
    if not known:
        raise InputError(
            "the network that a bundle names is not one that this version makes: use the version "
            "that made the bundle"
        )
    return preset
