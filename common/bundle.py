"""The model bundle, safetensors and JSON: what a later site needs to correct itself."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.models.state import State
from common.panel import Panel
from common.reference import Reference, packed, unpacked

FORMAT = 2


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
        Where each shared cell type is brought.
    card
        Everything else as JSON: task, preset, network, settings, versions, counts.
    """

    state: State
    panel: Panel
    references: dict[str, Reference]
    card: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``card.json``; the folder appears whole."""
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
            card = {
                "format": FORMAT,
                **self.card,
                "types": list(self.references),
                "genes": list(self.panel.genes),
                "vocabulary": list(self.panel.vocabulary),
                "sha256": {"model.safetensors": _digest(partial / "model.safetensors")},
            }
            card["sha256"]["names"] = _names_digest(card)
            (partial / "card.json").write_text(json.dumps(card, indent=1))
            partial.chmod(0o755)
            (partial / "model.safetensors").chmod(0o644)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle.

        Raises
        ------
        InputError
            A file is missing, of another format, or not what the card's hash says.
        """
        from safetensors.numpy import load_file

        card_path, model_path = folder / "card.json", folder / "model.safetensors"
        for path in (card_path, model_path):
            if not path.is_file():
                raise InputError(f"{folder} is not a bundle: {path.name} is missing")
        try:
            card = json.loads(card_path.read_text())
            found = card.get("format")
            if found != FORMAT:
                raise InputError(f"{folder}: bundle format {found!r}, this version reads {FORMAT}")
            names = _names_digest(card)
            hashes = {key: card["sha256"][key] for key in ("model.safetensors", "names")}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{card_path} is damaged ({error!r}): copy it again") from error
        if hashes["model.safetensors"] != _digest(model_path):
            raise InputError(f"{model_path} differs from the hash in its card: copy it again")
        if hashes["names"] != names:
            raise InputError(f"{card_path}: genes or types differ from their hash: copy it again")
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


def _names_digest(card: dict[str, Any]) -> str:
    names = [card["types"], card["genes"], card["vocabulary"]]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def shape_card(shape: Any) -> dict[str, Any]:
    """A network's shape as JSON."""
    return asdict(shape)
