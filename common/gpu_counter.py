"""The energy counter of an NVIDIA GPU."""

import os
from functools import lru_cache


def gpu_name(device: str) -> str:
    """The GPU that torch means by ``cuda``, ``cuda:1`` or ``auto``, as NVML finds it; "" for none.

    Its UUID, since numbers of CUDA and NVML differ where ``CUDA_VISIBLE_DEVICES`` is set.
    """
    if device == "cpu":
        return ""
    return _found(int(device.partition(":")[2] or 0), os.environ.get("CUDA_VISIBLE_DEVICES"))


@lru_cache(maxsize=8)
def _found(number: int, visible: str | None) -> str:
    # A process looks once: where there is no driver, that too takes a while.
    try:
        import pynvml

        pynvml.nvmlInit()
        if visible is None:
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        else:
            name = [part.strip() for part in visible.split(",") if part.strip()][number]
            of_number = name.isdecimal()
            by = "Index" if of_number else "UUID"
            find = getattr(pynvml, f"nvmlDeviceGetHandleBy{by}")
            handle = find(int(name) if of_number else name)
        # Old ones do not tell it.
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        return uuid.decode() if isinstance(uuid, bytes) else uuid
    except Exception:
        # No driver, no such GPU, no counter: NVML has an error of its own for each.
        return ""


def gpu_joules(name: str) -> float:
    """Since the driver was loaded.

    Raises
    ------
    NVMLError
        It can no longer be read.
    """
    import pynvml

    return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(name)) / 1e3
