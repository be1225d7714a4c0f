"""What Flower's server optimisers keep from round to round, out of them and into them again."""

import numpy as np
from flwr.serverapp.strategy import Strategy

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
