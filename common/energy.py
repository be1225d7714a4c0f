"""Energy of a process over a piece of work, in kWh, and its emissions, in kg CO2e: never mixed."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from common.counted import Counted, machine_folder
from common.gpu_counter import gpu_joules, gpu_name
from common.power import PowerModel

logger = logging.getLogger("syncytium.energy")
JOULES_PER_KWH = 3.6e6
MEASURED, ESTIMATED = "measured", "estimated"
COUNTED = "counted.json"
# In a log's line: a GPU was used that tells no energy.
GPU_UNMETERED = "gpu_unmetered"
# Aslan et al. 2018, doi:10.1111/jiec.12630: of fixed networks, core and access, in 2015; it halved
# about every two years.
NETWORK_KWH_PER_GB, NETWORK_YEAR, HALVED_IN_YEARS = 0.06, 2015, 2
# Commands that Flower starts for one message, and for one run.
FOR_ONE = ("flwr-clientapp", "flwr-serverapp")
T = TypeVar("T")


@dataclass(frozen=True)
class Energy:
    """Energy by where it went, in kWh, and emissions, in kg CO2e."""

    cpu_kwh: float = 0.0
    gpu_kwh: float = 0.0
    ram_kwh: float = 0.0
    kg: float = 0.0

    @property
    def kwh(self) -> float:
        """All of it."""
        return self.cpu_kwh + self.gpu_kwh + self.ram_kwh

    def times(self, share: float) -> Self:
        """A share of it."""
        return type(self)(*(share * getattr(self, f.name) for f in fields(self)))

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class _Reading:
    """Seconds since the epoch, the process's CPU seconds, and counters in joules, if any."""

    seconds: float
    cpu_seconds: float
    packages: list[float] | None = None
    busy_seconds: float = 0.0
    gpu: float | None = None


class Meter:
    """Meters this process from now on. A counter that fails makes an estimate, and never an error.

    Where RAPL can be read, the process's CPU energy is the packages', by its share of the machine's
    busy time. Else it is the power of the threads that it kept busy.

    Parameters
    ----------
    power
        The machine's.
    factor
        Kilograms of CO2e per kWh.
    ram
        Count the memory's constant power, where no other process of the machine has.
    device
        Count the energy of this GPU, where no other process has; ``"cpu"`` for none.
    whole
        From the process's own start: one that was started for this work alone.
    """

    def __init__(
        self,
        power: PowerModel,
        factor: float,
        *,
        ram: bool = True,
        device: str = "cpu",
        whole: bool = False,
    ):
        self.power, self.factor, self.ram = power, factor, ram
        self.device, self.gpu = device, gpu_name(device)
        self._gpu_unmetered = False
        self.source = MEASURED if power.counters else ESTIMATED
        shared = self.ram or self.gpu
        self._counted = Counted(machine_folder() / COUNTED) if shared else None
        self._began = self._read()
        self._memory_from, self._unread_cpu = self._began.seconds, 0.0
        if whole:
            # No counter was read then: it drew what it draws from now on.
            self._memory_from -= _seconds_since_start()
            self._unread_cpu = self._began.cpu_seconds

    def _read(self) -> _Reading:
        packages, busy, gpu = None, 0.0, None
        if self.power.counters:
            packages = _tried(lambda: [_joules(Path(p), "energy_uj") for p in self.power.counters])
            busy = _busy_seconds()
        if self.gpu:
            gpu = _tried(lambda: gpu_joules(self.gpu))
        return _Reading(time.time(), time.process_time(), packages, busy, gpu)

    def lap(self, *, memory: bool = True) -> Energy:
        """What was used since it began, or since the lap before.

        Parameters
        ----------
        memory
            Its part, too, else it waits for a later lap: what is counted among all processes of the
            machine takes a tenth of a millisecond and more.
        """
        began, now = self._began, self._read()
        unread_cpu, self._unread_cpu = self._unread_cpu, 0.0
        self._began = now
        cpu_seconds = now.cpu_seconds - began.cpu_seconds
        watts, self.source = self._cpu_watts(began, now, cpu_seconds)
        joules = [watts * (cpu_seconds + unread_cpu), 0.0, 0.0]
        read = began.gpu is not None and now.gpu is not None
        self._gpu_unmetered = not read and self.device != "cpu" and _cuda_is_used()
        if read:
            joules[1] = self._counted.take(self.gpu, began.gpu, max(now.gpu, began.gpu))
        if self.ram and memory:
            start, self._memory_from = self._memory_from, now.seconds
            seconds = self._counted.take("memory", start, max(now.seconds, start))
            joules[2] = self.power.ram_watts * seconds
        parts = [part / JOULES_PER_KWH for part in joules]
        return Energy(*parts, kg=sum(parts) * self.factor)

    def _cpu_watts(self, began: _Reading, now: _Reading, cpu_seconds: float) -> tuple[float, str]:
        """Power of one thread that the process kept busy, and whether it was measured."""
        busy = now.busy_seconds - began.busy_seconds
        if began.packages is None or now.packages is None:
            return self.power.thread_watts, ESTIMATED
        if now.seconds - began.seconds > self.power.seconds_of_counters:
            # They may have begun again more than once.
            return self.power.thread_watts, ESTIMATED
        passed = _tried(
            lambda: sum(map(_passed, self.power.counters, began.packages, now.packages))
        )
        if passed is None:
            return self.power.thread_watts, ESTIMATED
        # Ticks of the machine's busy time are coarse.
        share = max(busy, cpu_seconds)
        return passed / share if share else 0.0, MEASURED

    def entry(self) -> dict[str, Any]:
        """A lap as a line of a log has it."""
        used = self.lap()
        unmetered = {GPU_UNMETERED: True} if self._gpu_unmetered else {}
        return {"energy": {**vars(used), "source": self.source, **unmetered}}


def _tried(read: Callable[[], T]) -> T | None:
    """What is read; None where that fails, which must not cost a run."""
    try:
        return read()
    except Exception as error:
        logger.warning("a power counter cannot be read: %s: %s", type(error).__name__, error)
        return None


def _joules(folder: Path, name: str) -> float:
    return float((folder / name).read_text()) / 1e6


def _passed(folder: str, before: float, after: float) -> float:
    # The counter starts again at its range.
    around = _joules(Path(folder), "max_energy_range_uj") if after < before else 0.0
    return after - before + around


def _busy_seconds() -> float:
    import psutil

    times = psutil.cpu_times()
    # Guests' time is within the users', too.
    others = sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
    return sum(times) - others


def _cuda_is_used() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _seconds_since_start() -> float:
    import psutil

    with contextlib.suppress(psutil.Error):
        return max(time.time() - psutil.Process().create_time(), 0.0)
    return 0.0


_metered_before = False


def first_of_its_process() -> bool:
    """Whether Flower started this process for one message or run, of which nothing was metered."""
    global _metered_before
    first, _metered_before = not _metered_before, True
    return first and Path(sys.argv[0]).name in FOR_ONE


def communication_kwh(n_bytes: int, year: int | None = None) -> tuple[float, float]:
    """Least and most energy of sending bytes, in kWh.

    Least: the network's energy halved every two years since 2015. Most: it never did.

    References
    ----------
    Aslan et al. 2018, doi:10.1111/jiec.12630
    """
    years = (year or datetime.now(UTC).year) - NETWORK_YEAR
    most = NETWORK_KWH_PER_GB * n_bytes / 1e9
    return most / 2 ** (years / HALVED_IN_YEARS), most
