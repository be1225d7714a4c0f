"""What a machine draws: codecarbon's model of it, found once and kept in a file.

codecarbon's tracker looks for the hardware whenever a process starts it, and a site starts one for
every message.
"""

import contextlib
import json
import logging
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

logger = logging.getLogger("syncytium.energy")
POWER = "power.json"
RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class PowerModel:
    """A machine's power.

    Parameters
    ----------
    machine
        Its name.
    thread_watts
        Of a busy CPU thread: the CPU's thermal design power over its threads.
    ram_watts
        Of its memory, constant.
    counters
        Folders of RAPL's packages that can be read; without any, CPU energy is estimated.
    n_gpus
        NVIDIA GPUs whose energy NVML tells.
    """

    machine: str
    thread_watts: float
    ram_watts: float
    counters: tuple[str, ...]
    n_gpus: int


def power_model(folder: Path) -> PowerModel:
    """This machine's, as ``power.json`` in a folder has it; found, and kept there, if it does not.

    A folder that cannot be written costs a search each time and nothing else.
    """
    path = folder / POWER
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(path.read_text())
        model = PowerModel(**{**kept, "counters": tuple(kept["counters"])})
        if model.machine == platform.node():
            return model
    model = find_power()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            (Path(partial) / POWER).write_text(json.dumps(asdict(model)))
            (Path(partial) / POWER).replace(path)
    return model


def find_power() -> PowerModel:
    """This machine's: some tenths of a second."""
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE, TDP
    from codecarbon.core.util import count_physical_cpus
    from codecarbon.external.ram import RAM

    n_threads = os.cpu_count() or 1
    # Of its class the search in the table alone: its way to the model's name takes 2 s.
    try:
        watts = object.__new__(TDP)._get_cpu_power_from_registry(_cpu_name())
    except Exception as error:
        logger.warning("the CPU's power is not known: %s: %s", type(error).__name__, error)
        watts = None
    watts = watts * count_physical_cpus() if watts else DEFAULT_POWER_PER_CORE * n_threads
    ram = RAM(tracking_mode="machine").total_power().W
    return PowerModel(platform.node(), watts / n_threads, ram, _counters(RAPL), _n_gpus())


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _counters(root: Path) -> tuple[str, ...]:
    packages = sorted(root.glob("intel-rapl:[0-9]")) + sorted(root.glob("intel-rapl:[0-9][0-9]"))
    readable = []
    for package in packages:
        try:
            (package / "energy_uj").read_text()
            readable.append(str(package))
        except OSError as error:
            logger.warning(
                "%s cannot be read (%s): CPU energy is estimated; give this user the right to read "
                "it for measured figures",
                package / "energy_uj",
                error.strerror,
            )
    # A part of the packages would be a part of the energy.
    return tuple(readable) if len(readable) == len(packages) else ()


def _n_gpus() -> int:
    try:
        import pynvml

        pynvml.nvmlInit()
        n_gpus = pynvml.nvmlDeviceGetCount()
        for number in range(n_gpus):
            # Old ones do not tell it.
            pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(number))
        return n_gpus
    except Exception:
        return 0
