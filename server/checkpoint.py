"""What a run has reached, on disk after every phase and round, to go on from after a crash.

One safetensors file, whole at any moment: arrays, and everything else as JSON among its metadata.
It holds sums, models and names, which the coordinator has seen, and no keys: they are agreed anew.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RunError

FORMAT = 1


def digest_of(values: Any) -> str:
    """A hash of JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


class Checkpoint:
    """A run's reached state, saved under names.

    Parameters
    ----------
    folder
        ``checkpoints/`` of the run folder.
    """

    def __init__(self, folder: Path):
        self.path = folder / "state.safetensors"
        self._values: dict[str, Any] = {}
        self._arrays: dict[str, dict[str, np.ndarray]] = {}

    def require_same_bundle(self, name: str, digest: str, path: Path) -> None:
        """Keep which bundle a run uses, and compare it with that of a run that stopped.

        Raises
        ------
        RunError
            Another one is in its place now.
        """
        began = self.get(name, digest)
        if began != digest:
            raise RunError(
                f"the bundle in {path} is another one than when the run began: put it back, or "
                "begin anew in another folder"
            )
        self.save(name, began)

    def load(self) -> None:
        """Read what an earlier run left, if it came that far.

        Raises
        ------
        RunError
            It is damaged or of another version.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return
        try:
            with safe_open(self.path, "numpy") as file:
                head = json.loads(file.metadata()["state"])
                # In the order they were given, which a model's values are known by.
                self._arrays = {
                    group: {entry: file.get_tensor(f"{group}/{entry}") for entry in entries}
                    for group, entries in head["arrays"].items()
                }
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path} cannot be read: {error}; begin the run anew in another folder"
            ) from None
        if head["format"] != FORMAT:
            raise RunError(
                f"{self.path} has format {head['format']}, this version reads {FORMAT}: go on with "
                "the version that began the run, or begin anew in another folder"
            )
        self._values = head["values"]

    def get(self, name: str, default: Any = None) -> Any:
        """The JSON values that were saved under a name."""
        return self._values.get(name, default)

    def arrays(self, group: str) -> dict[str, np.ndarray]:
        """The arrays that were saved under a name; empty if none were."""
        return dict(self._arrays.get(group, {}))

    def save(
        self, name: str, values: Any, arrays: Mapping[str, Mapping[str, np.ndarray]] | None = None
    ) -> None:
        """Enter values under a name, and groups of arrays under theirs, and write everything.

        Raises
        ------
        RunError
            The disk is full or cannot be written; what was there before stays.
        """
        from safetensors.numpy import save_file

        self._values[name] = values
        for group, entries in (arrays or {}).items():
            self._arrays[group] = {k: np.asarray(v, order="C") for k, v in entries.items()}
        tensors = {
            f"{group}/{entry}": value
            for group, entries in self._arrays.items()
            for entry, value in entries.items()
        }
        names = {group: list(entries) for group, entries in self._arrays.items()}
        head = json.dumps({"format": FORMAT, "values": self._values, "arrays": names})
        partial = self.path.with_name(f".{self.path.name}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, partial, {"state": head})
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(self.path)
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise RunError(f"{self.path} cannot be written: {error}; make room there") from None
