"""Energy of a process over a piece of work, in kWh, and its emissions, in kg CO2e: never mixed."""

import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from common.power import PowerModel

JOULES_PER_KWH = 3.6e6
MEASURED, ESTIMATED = "measured", "estimated"
# Aslan et al. 2018, doi:10.1111/jiec.12630: of fixed networks, core and access, in 2015; it halved
# about every two years.
NETWORK_KWH_PER_GB, NETWORK_YEAR, HALVED_IN_YEARS = 0.06, 2015, 2


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

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Meter:
    """Meters this process from now on.

    Where RAPL can be read, the process's CPU energy is the packages', by its share of the machine's
    busy time. Else it is the power of the threads that it kept busy.

    Parameters
    ----------
    power
        The machine's.
    factor
        Kilograms of CO2e per kWh.
    ram
        Count the memory's constant power: by one process of a machine at a time.
    gpu
        Count the GPUs' energy, which is all that runs there.
    """

    def __init__(self, power: PowerModel, factor: float, *, ram: bool = True, gpu: bool = False):
        self.power, self.factor, self.ram = power, factor, ram
        self.gpu = gpu and power.n_gpus > 0
        self._began = self._read()

    def _read(self) -> tuple[float, float, list[float], float, float]:
        packages = [_joules(Path(folder), "energy_uj") for folder in self.power.counters]
        gpu = _gpu_joules(self.power.n_gpus) if self.gpu else 0.0
        busy = _busy_seconds() if packages else 0.0
        return time.monotonic(), time.process_time(), packages, busy, gpu

    @property
    def source(self) -> str:
        """What the CPU's figure is; memory's is always estimated."""
        return MEASURED if self.power.counters else ESTIMATED

    def used(self) -> Energy:
        """Since it began."""
        began, now = self._began, self._read()
        seconds, cpu_seconds, _, busy, gpu = (
            b - a if isinstance(a, float) else None for a, b in zip(began, now, strict=True)
        )
        joules = self.power.thread_watts * cpu_seconds
        if self.power.counters:
            share = min(cpu_seconds / busy, 1.0) if busy > 0 else 0.0
            joules = share * sum(map(_passed, self.power.counters, began[2], now[2]))
        memory = self.power.ram_watts * seconds if self.ram else 0.0
        parts = [part / JOULES_PER_KWH for part in (joules, gpu, memory)]
        return Energy(*parts, kg=sum(parts) * self.factor)

    def entry(self) -> dict[str, Any]:
        """What it used as a line of a log has it."""
        return {"energy": {**asdict(self.used()), "source": self.source}}


def _joules(folder: Path, name: str) -> float:
    return float((folder / name).read_text()) / 1e6


def _passed(folder: str, before: float, after: float) -> float:
    # The counter starts again at its range.
    around = _joules(Path(folder), "max_energy_range_uj") if after < before else 0.0
    return after - before + around


def _busy_seconds() -> float:
    import psutil

    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0)


def _gpu_joules(n_gpus: int) -> float:
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(n_gpus)]
    return sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in handles) / 1e3


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
