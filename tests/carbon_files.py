"""Files of a grid's hours, for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

HOUR = 3600


def carbon_csv(path: Path, first: float, values: Sequence[float], kind: str = "g_per_kwh") -> Path:
    """Hours from ``first`` on, a full hour of Unix time."""
    times = [datetime.fromtimestamp(first + HOUR * n, UTC).isoformat() for n in range(len(values))]
    rows = [f"{time},{value}" for time, value in zip(times, values, strict=True)]
    path.write_text("\n".join([f"time,{kind}", *rows]) + "\n")
    return path
