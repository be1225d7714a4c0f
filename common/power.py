"""What a machine draws: codecarbon's model of it, found once and kept, and its counters.

codecarbon's tracker looks for the hardware whenever a process starts it, and a site starts one for
every message.
"""

import contextlib
import json
import logging
import os
import platform
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from common.counted import machine_folder

logger = logging.getLogger("syncytium.energy")
POWER = "power.json"
RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class PowerModel:
    """A machine's power.

    Parameters
    ----------
    thread_watts
        Of a busy CPU thread: the CPU's thermal design power over its threads.
    ram_watts
        Of its memory, constant.
    counters
        Folders of RAPL's packages that can be read; without any, CPU energy is estimated.
    why_estimated
        Why there are no counters, and what would give them; "" where there are.
    """

    thread_watts: float
    ram_watts: float
    counters: tuple[str, ...] = ()
    why_estimated: str = ""

    @cached_property
    def seconds_of_counters(self) -> float:
        """How long RAPL's counters surely take to begin again, at twice the CPU's design power."""
        ranges = []
        for package in self.counters:
            with contextlib.suppress(OSError, ValueError):
                ranges.append(float((Path(package) / "max_energy_range_uj").read_text()) / 1e6)
        watts = 2 * self.thread_watts * (os.cpu_count() or 1)
        return min(ranges, default=float("inf")) / watts


@lru_cache(maxsize=4)
def power_model(folder: Path) -> PowerModel:
    """This machine's, its watts as kept for the user or in ``folder``; found if neither has them.

    A process looks once. Where nothing can be written it is found each time, and nothing else.
    """
    counters, why = _counters(RAPL)
    machine = [platform.node(), cpu_name(), os.cpu_count(), _memory_pages()]
    paths = [machine_folder() / POWER, folder / POWER]
    for path in paths:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(path.read_text())
            if kept["machine"] == machine:
                return PowerModel(
                    float(kept["thread_watts"]), float(kept["ram_watts"]), counters, why
                )
    thread_watts, ram_watts = find_watts()
    kept = {"machine": machine, "thread_watts": thread_watts, "ram_watts": ram_watts}
    for path in paths:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=path.parent) as partial:
                (Path(partial) / POWER).write_text(json.dumps(kept))
                (Path(partial) / POWER).replace(path)
            break
    return PowerModel(thread_watts, ram_watts, counters, why)


def find_watts() -> tuple[float, float]:
    """Of a busy CPU thread, and of the memory: some tenths of a second."""
    import psutil
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE, TDP
    from codecarbon.core.util import count_physical_cpus
    from codecarbon.external.ram import RAM

    n_threads = os.cpu_count() or 1
    # Of its class the search in the table alone: its way to the model's name takes 2 s.
    try:
        watts = object.__new__(TDP)._get_cpu_power_from_registry(cpu_name())
    except Exception as error:
        logger.warning("the CPU's power is not known: %s: %s", type(error).__name__, error)
        watts = None
    watts = watts * count_physical_cpus() if watts else DEFAULT_POWER_PER_CORE * n_threads
    # Its way to the size asks SLURM for that of a job.
    gigabytes = psutil.virtual_memory().total / 2**30
    return watts / n_threads, RAM(tracking_mode="machine")._calculate_ram_power(gigabytes)


def cpu_name() -> str:
    """The processor's model as it calls itself."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _zone_name(zone: Path) -> str:
    with contextlib.suppress(OSError):
        return (zone / "name").read_text().strip()
    return ""


def _memory_pages() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _counters(root: Path) -> tuple[tuple[str, ...], str]:
    """RAPL's packages, all of them or none, and why none."""
    zones = sorted(root.glob("intel-rapl:[0-9]")) + sorted(root.glob("intel-rapl:[0-9][0-9]"))
    # A laptop's "psys" holds the packages, and more.
    packages = [zone for zone in zones if _zone_name(zone).startswith("package")]
    for package in packages:
        try:
            (package / "energy_uj").read_text()
        except OSError as error:
            # A part of the packages would be a part of the energy.
            return (), (
                f"{package / 'energy_uj'} cannot be read ({error.strerror}): give the user that "
                "runs the node the right to, for measured figures"
            )
    return tuple(map(str, packages)), "" if packages else "the machine has no RAPL counters"
