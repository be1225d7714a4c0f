"""On what something was measured: a figure of another machine is not comparable."""

import os
import platform
from typing import Any

from common.power import cpu_name


def machine() -> dict[str, Any]:
    """This machine's name, processor, threads, memory and system."""
    import psutil

    return {
        "name": platform.node(),
        "cpu": cpu_name(),
        "n_threads": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
    }
