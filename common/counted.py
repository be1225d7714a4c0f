"""What several processes of one machine meter together, each part counted once.

A machine's memory draws its power once, however many sites it runs, and a GPU's counter tells of
all that runs there. Every process enters what it counts, and counts what no other has.
"""

import contextlib
import fcntl
import json
import os
import platform
import tempfile
from pathlib import Path

# Of each resource; intervals that lie further back are forgotten.
KEPT = 64
# Seconds or joules by which processes may enter what they count out of order.
SLACK = 60.0
Interval = tuple[float, float]


def machine_folder() -> Path:
    """This user's folder for what holds for the machine: ``$XDG_CACHE_HOME/syncytium``."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(cache) if cache else Path.home() / ".cache"
    except RuntimeError:
        # A user without a home directory, as some containers have.
        folder = Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"
    # By its name, since several machines may share a home directory.
    return folder / "syncytium" / platform.node()


class Counted:
    """The file in which processes enter the intervals that they count.

    Parameters
    ----------
    path
        Of the file; without a right to write it, each process counts all of its own.
    """

    def __init__(self, path: Path):
        self.path = path

    def take(self, resource: str, begin: float, end: float) -> float:
        """Enter an interval; the length of it that no process has entered before.

        Parameters
        ----------
        resource
            What is counted.
        begin, end
            In seconds since the epoch, or in what the resource's counter tells.
        """
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                length = os.fstat(file).st_size
                kept = _read(os.pread(file, length, 0))
                # A counter that began again has not reached them.
                before = [pair for pair in kept.get(resource, []) if pair[1] <= end + SLACK]
                kept[resource] = _joined([*before, (begin, end)])[-KEPT:]
                # In place: to cut a file short takes milliseconds, which a message has few of.
                os.pwrite(file, json.dumps(kept).encode().ljust(length), 0)
            finally:
                os.close(file)
            overlaps = (min(end, b) - max(begin, a) for a, b in before)
            return max(end - begin - sum(max(part, 0.0) for part in overlaps), 0.0)
        return end - begin


def _read(text: bytes) -> dict[str, list[Interval]]:
    try:
        kept = json.loads(text or b"{}")
        return {name: [(float(a), float(b)) for a, b in pairs] for name, pairs in kept.items()}
    except (ValueError, TypeError, AttributeError):
        # Of a process that was killed in the middle.
        return {}


def _joined(intervals: list[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for begin, end in sorted(intervals):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
