"""The site's own record of whom it was summed with.

Moments over five sites and, in a later run, over four of them differ by the fifth site's moments.
Sums over sets that differ by more can be combined, too: three of them may leave one site, and no
site sees them all. So a field of these cells that was summed over some sites is summed over the
same sites in every later run, unless the site's policy says otherwise.

Within a run the record is what outlives a process that ends between an answer and its memory: no
sum is answered twice, and none is opened over two lists of sites.
"""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import ConfigError, PolicyError, SecureSumError
from common.wire import phase_of

logger = logging.getLogger("syncytium.site")
FILE, RUNS = "participants.jsonl", "sums"


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

    def begin(self, run: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep that the site uploads in a sum.

        Raises
        ------
        SecureSumError
            It has done so before.
        PolicyError
            In an earlier run a field of the phase was summed over other sites.
        ConfigError
            The record is damaged or cannot be written.
        """
        if any(line["sum"] == name for line in self._sums(run)):
            raise SecureSumError(
                f"sum {name} of run {run} was asked for twice: a mask covers one vector only"
            )
        self._compare(run, phase, sites)
        self._append(self._run_path(run), {"sum": name})

    def settle(self, run: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep whom a sum is opened over, before this site helps to open it.

        Raises
        ------
        SecureSumError
            It was to be opened over others before.
        PolicyError
            In an earlier run a field of the phase was summed over other sites.
        ConfigError
            The record is damaged or cannot be written.
        """
        lists = [
            line["sites"] for line in self._sums(run) if line["sum"] == name and "sites" in line
        ]
        if lists == [sites]:
            return
        if lists:
            raise SecureSumError(
                f"sum {name} of run {run}: the survivors were {', '.join(lists[0])} and are now "
                f"{', '.join(sites)}: a second list would open a single site's vector"
            )
        self._compare(run, phase, sites)
        self._append(self._run_path(run), {"sum": name, "sites": sites})
        line = {"dataset": self.dataset, "run": run, "fields": _fields(phase), "sites": sites}
        if line not in [{key: entry[key] for key in line} for entry in self._lines()]:
            self._append(self.path, line)

    def _compare(self, run: str, phase: str, sites: list[str]) -> None:
        lines = [line for line in self._lines() if line["run"] != run]
        for field in _fields(phase):
            earlier = [line for line in lines if field in line["fields"]]
            if not earlier or any(line["sites"] == sites for line in earlier):
                continue
            before = earlier[-1]
            others = ", ".join(sorted(set(before["sites"]) ^ set(sites)))
            message = (
                f"policy rule differences: {field} is summed over {', '.join(sites)}, and was over "
                f"{', '.join(before['sites'])} in run {before['run']}: the difference would show "
                f'{others}; take part with the same sites, or set differences = "warn" in this '
                "site's policy"
            )
            if self.refuse:
                # Earlier runs may have been another coordinator's.
                raise PolicyError(
                    message,
                    public=f"policy rule differences: {phase} of these cells was summed over other "
                    "sites before, and the difference would show a site's part",
                )
            logger.warning("%s", message)
            return

    def _sums(self, run: str) -> list[dict[str, Any]]:
        return _read(self._run_path(run), "sum")

    def _lines(self) -> list[dict[str, Any]]:
        return [line for line in _read(self.path, "dataset") if line["dataset"] == self.dataset]

    def _run_path(self, run: str) -> Path:
        return self.folder / RUNS / f"{run}.jsonl"

    def _append(self, path: Path, line: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps({"time": time, **line}) + "\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


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


def _fields(phase: str) -> list[str]:
    return sorted(phase_of(phase).masked())
