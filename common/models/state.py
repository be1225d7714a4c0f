"""A model's state, and its change as one vector, for averaging."""

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


def not_finite(state: State) -> str:
    """Which entries hold values that are not finite, and how many, in words; "" if none does."""
    counts = {name: np.count_nonzero(~np.isfinite(value)) for name, value in state.items()}
    broken = [f"{n} of {state[name].size} values of {name}" for name, n in counts.items() if n]
    more = f" and {len(broken) - 3} tensors more" if len(broken) > 3 else ""
    return ", ".join(broken[:3]) + more


def averaged_names(state: State) -> list[str]:
    """The floating-point entries, batch-norm buffers included; counters stay as they are."""
    return [name for name, value in state.items() if np.issubdtype(value.dtype, np.floating)]


def change(state: State, before: State) -> np.ndarray:
    """What was added to the averaged entries since ``before``, (n_values,) in the state's order."""
    names = averaged_names(state)
    sizes = [state[name].size for name in names]
    vector = np.empty(sum(sizes), np.result_type(np.float32, *(state[n].dtype for n in names)))
    for name, part in zip(names, np.split(vector, np.cumsum(sizes)[:-1]), strict=True):
        np.subtract(state[name].ravel(), before[name].ravel(), out=part)
    return vector


def vector_of(parts: State, like: State) -> np.ndarray:
    """Values by name as one vector laid out as :func:`change` has it, zeros for other entries."""
    zeros = {name: np.zeros_like(like[name]) for name in averaged_names(like)}
    return np.concatenate([values.ravel() for values in (zeros | parts).values()])


def moved(before: State, vector: np.ndarray, scale: float = 1.0) -> State:
    """``before`` with ``vector`` times ``scale`` added to its averaged entries.

    Raises
    ------
    ValueError
        The vector's length is not that of the averaged entries.
    """
    sizes = {name: before[name].size for name in averaged_names(before)}
    if len(vector) != sum(sizes.values()):
        raise ValueError(f"a change of {len(vector)} values for a state of {sum(sizes.values())}")
    state, start = dict(before), 0
    for name, size in sizes.items():
        old = before[name]
        # In double precision, then rounded once.
        new = np.multiply(vector[start : start + size], scale, dtype=np.float64)
        new += old.ravel()
        start += size
        if name.endswith("running_var"):
            # Rounding may carry a variance of almost nothing below it.
            np.maximum(new, 0, out=new)
        state[name] = new.astype(old.dtype).reshape(old.shape)
    return state
