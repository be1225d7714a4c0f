"""The model bundle, safetensors and JSON: what a later site needs of a finished run."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.config import RunConfig
from common.errors import InputError
from common.models.state import State
from common.panel import Panel
from common.presets import Preset, preset_of, preset_values
from common.reference import Reference, packed, unpacked

FORMAT = 3
MEND = {
    "correct": "; give the bundle of a correction, as `syncytium run conf/correct.toml` makes it",
    "classify": "; give the bundle of a classifier, as `syncytium run conf/classify.toml` makes it",
    "synthesize": "; give the bundle of a cohort, as `syncytium run conf/synthesize.toml` makes it",
}


@dataclass(frozen=True)
class Bundle:
    """A trained model with its genes, scaling and references.

    Parameters
    ----------
    state
        The model's values by name.
    panel
        Vocabulary, genes and scaling.
    references
        Where each shared cell type is brought; none of a classifier.
    card
        Everything else as JSON; of a run, what :func:`card_of` makes.
    """

    state: State
    panel: Panel
    references: dict[str, Reference]
    card: dict[str, Any]

    @property
    def digest(self) -> str:
        """The hash of all that is in it, of one that was loaded."""
        return self.card["sha256"]["card"]

    @property
    def preset(self) -> Preset:
        """The network and how its latents are used.

        Raises
        ------
        InputError
            This version has no such network.
        """
        return preset_of(self.card.get("network"))

    def save(self, folder: Path, beside: Mapping[str, str] | None = None) -> str:
        """Write ``model.safetensors`` and ``card.json``; the folder appears whole.

        Parameters
        ----------
        folder
            The bundle's.
        beside
            Texts of further files, by name: the model in other programs' formats.

        Returns
        -------
        Its :attr:`digest`.
        """
        from safetensors.numpy import save_file

        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            tensors = {f"model/{name}": value for name, value in self.state.items()}
            tensors |= {"panel/mean": self.panel.mean, "panel/sd": self.panel.sd}
            arrays = packed(self.references)
            tensors |= {f"references/{name}": value for name, value in arrays.items()}
            # safetensors writes a strided array's bytes in the wrong order.
            tensors = {name: np.asarray(value, order="C") for name, value in tensors.items()}
            save_file(tensors, partial / "model.safetensors")
            for name, text in (beside or {}).items():
                (partial / name).write_text(text)
            files = ["model.safetensors", *(beside or {})]
            card = {
                "format": FORMAT,
                **self.card,
                "types": list(self.references),
                "genes": list(self.panel.genes),
                "vocabulary": list(self.panel.vocabulary),
                "sha256": {name: _digest(partial / name) for name in files},
            }
            card["sha256"]["card"] = _card_digest(card)
            (partial / "card.json").write_text(json.dumps(card, indent=1))
            partial.chmod(0o755)
            (partial / "model.safetensors").chmod(0o644)
            partial.replace(folder)
            return card["sha256"]["card"]
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, task: str = "") -> "Bundle":
        """Read a bundle.

        Parameters
        ----------
        folder
            Holds ``model.safetensors`` and ``card.json``.
        task
            What it must be for; "" takes any.

        Raises
        ------
        InputError
            A file is missing, of another format, or not what its hash says; or the bundle is of
            another task.
        """
        from safetensors.numpy import load_file

        card_path, model_path = folder / "card.json", folder / "model.safetensors"
        for path in (card_path, model_path):
            if not path.is_file():
                raise InputError(
                    f"{folder} is not a bundle: {path.name} is missing; give the folder bundle/ of "
                    "a finished run"
                )
        try:
            card = json.loads(card_path.read_text())
            found = card.get("format")
            if found != FORMAT:
                raise InputError(
                    f"{folder}: bundle format {found!r}{_made_by(card)}, this version reads "
                    f"{FORMAT}: use the version that made it"
                )
            own = _card_digest(card)
            hashes = {key: card["sha256"][key] for key in ("model.safetensors", "card")}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{card_path} is damaged ({error!r}): copy it again") from error
        if hashes["model.safetensors"] != _digest(model_path):
            raise InputError(f"{model_path} differs from the hash in its card: copy it again")
        if hashes["card"] != own:
            raise InputError(f"{card_path} differs from its own hash: copy it again")
        if task and card.get("task") != task:
            raise InputError(
                f"{folder} is a bundle of the task {card.get('task')!r}, and one of {task!r} is "
                f"asked for{MEND.get(task, '')}"
            )
        tensors = load_file(model_path)
        state, arrays = (
            {
                name.removeprefix(folder): value
                for name, value in tensors.items()
                if name.startswith(folder)
            }
            for folder in ("model/", "references/")
        )
        panel = Panel(
            tuple(card.pop("vocabulary")),
            tuple(card.pop("genes")),
            tensors["panel/mean"],
            tensors["panel/sd"],
        )
        references = unpacked(card.pop("types"), arrays)
        return cls(state, panel, references, card)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card_digest(card: dict[str, Any]) -> str:
    """Of all that the card says; what it says of the model is the model's hash."""
    hashes = {key: value for key, value in card["sha256"].items() if key != "card"}
    said = json.dumps({**card, "sha256": hashes}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _made_by(card: dict[str, Any]) -> str:
    made = card.get("versions", {}).get("syncytium", "")
    return f" (made by version {made})" if made else ""


def card_of(
    config: RunConfig, preset: Preset, *, run: str, versions: dict[str, str], **more: Any
) -> dict[str, Any]:
    """A card with what a later site needs beside model, panel and references.

    Parameters
    ----------
    config, preset
        The run's settings and its network.
    run
        Flower's id of the run.
    versions
        What made it.
    """
    return {
        "task": config.task,
        "run": run,
        "preset": config.preset,
        "network": preset_values(preset),
        "settings": {
            "output": config.output,
            "unlabelled": config.unlabelled,
            "min-reference-cells": config.min_reference_cells,
            "max-padded": config.max_padded,
        },
        "versions": versions,
        **more,
    }
