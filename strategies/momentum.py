"""What Flower's server optimisers keep from round to round, out of them and into them again."""

from collections.abc import Sequence

import numpy as np
from flwr.serverapp.strategy import Strategy

from common.pruned import Kept

# FedAdam, FedYogi, FedAdagrad; FedAvgM. What the round started from they take from its model.
TABLES, LIST = ("m_t", "v_t"), "momentum_vector"


def momentum_of(strategy: Strategy) -> dict[str, np.ndarray]:
    """Its arrays by a name; {} for a strategy that keeps nothing, or before the first round."""
    kept = {
        f"{table}/{name}": value
        for table in TABLES
        for name, value in (getattr(strategy, table, None) or {}).items()
    }
    listed = getattr(strategy, LIST, None) or []
    return kept | {f"{LIST}/{i:06d}": value for i, value in enumerate(listed)}


def restore_momentum(strategy: Strategy, kept: dict[str, np.ndarray]) -> None:
    """Give a new strategy what :func:`momentum_of` gave of an earlier one."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, value in kept.items():
        table, _, entry = name.partition("/")
        parts.setdefault(table, {})[entry] = value
    for table, entries in parts.items():
        value = [entries[key] for key in sorted(entries)] if table == LIST else entries
        setattr(strategy, table, value)


def thin_momentum(strategy: Strategy, trained: Sequence[str], kept: Kept) -> None:
    """Leave the kept weights' alone; ``trained`` are the names that the strategy is fed."""
    for table in TABLES:
        if entries := getattr(strategy, table, None):
            setattr(strategy, table, kept.thin(entries))
    if listed := getattr(strategy, LIST, None):
        entries = kept.thin(dict(zip(trained, listed, strict=True)))
        setattr(strategy, LIST, list(entries.values()))
    # FedAvgM takes the values that it starts from once.
    if hasattr(strategy, "current_arrays"):
        strategy.current_arrays = None
