"""The site's own record of whom its cells were summed with.

Sums over five sites and, in a later run, over four of them differ by the fifth site's part,
whatever the fields are called. Sums over sets that differ by more combine as well: three of them
may leave one site, and no site sees them all. So every run over a data set begins with the same
sites as the first one, unless the site's policy says otherwise.

Within a run the record is what outlives a process that ends between an answer and its memory, and
what two processes of one site share: no sum is answered twice, none is opened over two lists of
sites, and a run's id is used by one memory of its keys only.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import ConfigError, DiskError, PolicyError, SecureSumError
from common.wire import phase_of

logger = logging.getLogger("syncytium.site")
FILE, RUNS, LOCK = "participants.jsonl", "sums", "participants.lock"


class ParticipantRecord:
    """One data set's record.

    Parameters
    ----------
    folder
        Where ``participants.jsonl`` is, and ``sums/RUN.jsonl`` for each run.
    dataset
        The policy's name of the cells.
    refuse
        Otherwise another set of sites is logged as a warning.
    """

    def __init__(self, folder: Path, dataset: str, refuse: bool):
        self.folder = folder
        self.path = folder / FILE
        self.dataset = dataset
        self.refuse = refuse

    def begin(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep that the site uploads in a sum.

        Parameters
        ----------
        run, memory
            The run's id, and what tells this memory of its keys from any other.
        name, phase
            Of the sum.
        sites
            Who takes part, sorted.

        Raises
        ------
        SecureSumError
            It has done so before, or the run's id was used with other keys.
        PolicyError
            Earlier runs were over other sites.
        ConfigError
            The record is damaged or cannot be written.
        """
        with self._locked():
            sums = self._sums(run, memory)
            if any(line["sum"] == name for line in sums):
                raise SecureSumError(
                    f"sum {name} of run {run} was asked for twice: a mask covers one vector only"
                )
            self._compare(run, sums, phase, sites)
            self._append(self._run_path(run), {"memory": memory, "sum": name})

    def settle(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep whom a sum is opened over, before this site helps to open it.

        Parameters
        ----------
        run, memory, name, phase, sites
            As of :meth:`begin`.

        Raises
        ------
        SecureSumError
            It was to be opened over others before, or the run's id was used with other keys.
        PolicyError
            Earlier runs were over other sites.
        ConfigError
            The record is damaged or cannot be written.
        """
        with self._locked():
            sums = self._sums(run, memory)
            lists = [line["sites"] for line in sums if line["sum"] == name and "sites" in line]
            if lists == [sites]:
                return
            if lists:
                raise SecureSumError(
                    f"sum {name} of run {run}: the survivors were {', '.join(lists[0])} and are "
                    f"now {', '.join(sites)}: a second list would open a single site's vector"
                )
            self._compare(run, sums, phase, sites)
            if not any("sites" in line for line in sums):
                self._append(self.path, {"dataset": self.dataset, "run": run, "sites": sites})
            line = {"memory": memory, "sum": name, "sites": sites}
            self._append(self._run_path(run), line)

    def _compare(self, run: str, sums: list[dict[str, Any]], phase: str, sites: list[str]) -> None:
        opened = [line["sites"] for line in sums if "sites" in line]
        if opened:
            # Sites may be lost within a run, where that shows no more than their numbers of cells.
            if set(sites) <= set(opened[0]) and (sites == opened[0] or phase_of(phase).may_lose):
                return
            before, which = opened[0], "this run's first sum"
        else:
            lines = [line for line in _read(self.path, "dataset") if line["run"] != run]
            earlier = [line for line in lines if line["dataset"] == self.dataset]
            if not earlier or earlier[0]["sites"] == sites:
                return
            before, which = earlier[0]["sites"], f"run {earlier[0]['run']}"
        others = ", ".join(sorted(set(before) ^ set(sites)))
        message = (
            f"policy rule differences: {phase} is summed over {', '.join(sites)}, and {which} was "
            f"over {', '.join(before)}: the difference would show {others}; take part with the "
            'same sites, or set differences = "warn" in this site\'s policy'
        )
        if self.refuse:
            # Earlier runs may have been another coordinator's.
            raise PolicyError(
                message,
                public=f"policy rule differences: before {phase} these cells were summed over "
                "other sites, and the difference would show a site's part",
            )
        logger.warning("%s", message)

    def _sums(self, run: str, memory: str) -> list[dict[str, Any]]:
        sums = _read(self._run_path(run), "sum")
        if any(line["memory"] != memory for line in sums):
            raise SecureSumError(
                f"run {run} has begun with other keys of this site: it was restarted, or the run's "
                "id is used again; run again"
            )
        return sums

    def _run_path(self, run: str) -> Path:
        return self.folder / RUNS / f"{run}.jsonl"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two messages to one site may be two processes at once."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("w")
        except OSError as error:
            raise DiskError(self.folder, error) from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _append(self, path: Path, line: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps({"time": time, **line}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DiskError(path, error) from None


def _read(path: Path, key: str) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if all(key in line for line in lines):
            return lines
        error = f"a line has no {key!r}"
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as fault:
        error = fault
    # Going on without it could show a site.
    raise ConfigError(f"{path} cannot be read: {error}; mend its last line")
