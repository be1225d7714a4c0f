"""The compute device of a site, and clear errors when it cannot be had."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from common.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """The torch device that ``device = auto | cpu | cuda[:i]`` stands for.

    Raises
    ------
    DeviceError
        A GPU is asked for that this machine, or this build of torch, does not have.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if n_gpus else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        build = "a CPU build" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
        raise DeviceError(
            f"device = {name!r}, but {n_gpus} GPUs are visible "
            f"(torch {torch.__version__}, {build}); "
            "set device = 'auto' or 'cpu', or make the GPU visible to this process",
            public=f"device = {name!r}: no such GPU at the site; set device in its node-config",
        )
    return device


@contextmanager
def memory_guard(
    device: torch.device, n_cells: int, settings: str = "n-top-genes or hidden"
) -> Iterator[None]:
    """Turn the device's out-of-memory error into one that says which settings to lower.

    Raises
    ------
    DeviceError
        The device ran out of memory inside the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU's allocator raises a plain RuntimeError; so does an illegal memory access.
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(
            words in str(error) for words in ("out of memory", "allocate memory")
        ):
            raise
        other = "" if device.type == "cpu" else ", or set device = 'cpu' in node-config"
        message = (
            f"{device} ran out of memory with {n_cells} cells at a time; lower {settings}, or "
            f"free the device{other}"
        )
        raise DeviceError(message, public=message) from error
