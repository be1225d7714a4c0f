"""The site's own record of whom it was summed with, against differences between runs.

Moments over five sites and, in a later run, over four of them differ by the fifth site's moments.
A site therefore keeps, for each sum that two runs over the same cells would repeat, who was in it.
"""

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import ConfigError, PolicyError
from common.wire import phase_of

logger = logging.getLogger("syncytium.site")
FILE = "participants.jsonl"


class ParticipantRecord:
    """One data set's record; one line is appended per opened sum.

    Parameters
    ----------
    folder
        Where ``participants.jsonl`` is.
    dataset
        The policy's name of the cells.
    least
        Two sums must differ by so many sites, or by none.
    refuse
        Otherwise a difference is logged as a warning.
    """

    def __init__(self, folder: Path, dataset: str, least: int, refuse: bool):
        self.path = folder / FILE
        self.dataset = dataset
        self.least = least
        self.refuse = refuse

    def check(self, phase: str, sites: Iterable[str]) -> None:
        """Compare with the sums of earlier runs, field by field.

        Raises
        ------
        PolicyError
            An earlier sum of such a field was over fewer than ``least`` sites more or less.
        ConfigError
            The record is damaged.
        """
        fields, now = _repeated(phase), set(sites)
        for line in self._lines() if fields else []:
            shared = fields & set(line["fields"])
            difference = now ^ set(line["sites"])
            if not (shared and 0 < len(difference) < self.least):
                continue
            message = (
                f"policy rule differences: {phase} is summed over {', '.join(sorted(now))}, and in "
                f"run {line['run']} {', '.join(sorted(shared))} was over "
                f"{', '.join(line['sites'])}: the difference would show "
                f"{', '.join(sorted(difference))}; take part with the same sites, or with "
                f"{self.least} others or more"
            )
            if self.refuse:
                # Earlier runs may have been another coordinator's.
                raise PolicyError(
                    message,
                    public=f"policy rule differences: the site was in a sum over almost the same "
                    f"sites as {phase} is now, and the difference would show a site",
                )
            logger.warning("%s", message)

    def enter(self, phase: str, sites: Iterable[str], run: str) -> None:
        """Check, then keep a sum before this site helps to open it.

        Raises
        ------
        PolicyError
            See :meth:`check`.
        ConfigError
            The record is damaged or cannot be written.
        """
        fields = sorted(_repeated(phase))
        if not fields:
            return
        sites = sorted(sites)
        self.check(phase, sites)
        line = {"dataset": self.dataset, "run": run, "fields": fields, "sites": sites}
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        if line in [{key: entry[key] for key in line} for entry in self._lines()]:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps({"time": time, **line}) + "\n")
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}") from None

    def _lines(self) -> list[dict[str, Any]]:
        try:
            lines = [json.loads(line) for line in self.path.read_text().splitlines()]
            return [line for line in lines if line["dataset"] == self.dataset]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Going on without it could show a site.
            raise ConfigError(f"{self.path} cannot be read: {error}; mend its last line") from None


def _repeated(phase: str) -> set[str]:
    return {name for name, field in phase_of(phase).masked().items() if field.repeats}
