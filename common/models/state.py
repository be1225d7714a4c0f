"""A model's state as one vector, for averaging, and back."""

import numpy as np
import torch
from torch import nn

State = dict[str, np.ndarray]


def state_of(model: nn.Module) -> State:
    """Every parameter and buffer by name, as numpy arrays on the CPU."""
    return {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}


def load_state(model: nn.Module, state: State) -> None:
    """Replace the model's values, which may be without storage, by a copy of ``state``.

    Raises
    ------
    RuntimeError
        A name or a shape does not fit.
    """
    copies = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    model.load_state_dict(copies, assign=True)


def averaged_names(state: State) -> list[str]:
    """The floating-point entries, batch-norm buffers included; counters stay as they are."""
    return [name for name, value in state.items() if np.issubdtype(value.dtype, np.floating)]


def flatten(state: State) -> np.ndarray:
    """The averaged entries as one vector, in the state's order."""
    return np.concatenate([state[name].ravel() for name in averaged_names(state)])


def unflatten(vector: np.ndarray, like: State, scale: float = 1.0) -> State:
    """A state with the entries of ``vector`` times ``scale`` and the counters of ``like``."""
    state, start = dict(like), 0
    for name in averaged_names(like):
        size = like[name].size
        part = vector[start : start + size].reshape(like[name].shape)
        state[name] = np.empty_like(like[name])
        # Multiplied in double precision, then rounded once.
        np.multiply(part, scale, out=state[name], dtype=np.float64, casting="same_kind")
        start += size
    if start != len(vector):
        raise ValueError(f"a vector of length {len(vector)} for a state of {start} values")
    return state
