"""The strategies that a run may name, and which of its settings each of them reads."""

from typing import Literal

StrategyName = Literal[
    "fedsgd",
    "fedavg",
    "fedprox",
    "fedavgm",
    "fedadam",
    "fedyogi",
    "fedadagrad",
    "krum",
    "fedmedian",
    "fedtrimmedavg",
]

ADAPTIVE = ("server_learning_rate", "beta_1", "beta_2", "tau")
READS: dict[StrategyName, tuple[str, ...]] = {
    "fedsgd": (),
    "fedavg": (),
    "fedprox": ("proximal_mu",),
    "fedavgm": ("server_learning_rate", "server_momentum"),
    "fedadam": ADAPTIVE,
    "fedyogi": ADAPTIVE,
    # Flower's has no momentum and a plain sum of squares: no betas.
    "fedadagrad": ("server_learning_rate", "tau"),
    "krum": ("malicious_sites",),
    "fedmedian": ("malicious_sites",),
    "fedtrimmedavg": ("malicious_sites",),
}

# Of a run that names none, by its preset.
OF_PRESET: dict[str, StrategyName] = {"default": "fedsgd", "fedscgen": "fedavg"}

# Of a classifier that is trained in rounds and whose run names none.
OF_CLASSIFIER: StrategyName = "fedsgd"
# Where it goes on from a checkpoint, of which a round sends millions of values: few of them.
OF_CHECKPOINT: StrategyName = "fedavg"

# They compare the sites' single models, so they cannot work on sums.
ROBUST: tuple[StrategyName, ...] = ("krum", "fedmedian", "fedtrimmedavg")
SETTINGS = tuple(dict.fromkeys(key for keys in READS.values() for key in keys))
