"""The model bundle: whole, checked, and without pickle."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from common.bundle import Bundle
from common.errors import InputError
from common.panel import Panel
from common.reference import Reference


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    state = {"w": rng.normal(size=(3, 2)).astype(np.float32), "n": np.array(7)}
    panel = Panel(("A", "B", "C"), ("C", "A"), rng.normal(size=2), np.ones(2))
    references = {
        name: Reference(rng.normal(size=2), np.diag(rng.normal(size=2)))
        for name in ("T cell", "B/naïve")
    }
    bundle = Bundle(state, panel, references, {"task": "correct"})
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle", bundle


def test_comes_back_as_it_was(folder):
    path, bundle = folder
    again = Bundle.load(path)
    assert (again.panel.genes, again.panel.vocabulary) == (("C", "A"), ("A", "B", "C"))
    np.testing.assert_array_equal(again.panel.mean, bundle.panel.mean)
    assert list(again.references) == list(bundle.references)
    for name, reference in bundle.references.items():
        np.testing.assert_array_equal(again.references[name].mean, reference.mean)
        np.testing.assert_array_equal(again.references[name].covariance, reference.covariance)
    for name, value in bundle.state.items():
        np.testing.assert_array_equal(again.state[name], value)
        assert again.state[name].shape == value.shape
    assert again.card["task"] == "correct"


def test_holds_safetensors_and_json_only(folder):
    path, _ = folder
    assert {file.name for file in path.iterdir()} == {"model.safetensors", "card.json"}
    json.loads((path / "card.json").read_text())
    header = (path / "model.safetensors").read_bytes()[8:].partition(b"\n")[0]
    assert header.startswith(b"{")


def test_a_changed_model_is_refused(folder):
    path, _ = folder
    model = path / "model.safetensors"
    blob = bytearray(model.read_bytes())
    blob[-1] ^= 1
    model.write_bytes(blob)
    with pytest.raises(InputError, match="differs from the hash"):
        Bundle.load(path)


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_a_missing_file_is_named(folder, name):
    path, _ = folder
    (path / name).unlink()
    with pytest.raises(InputError, match=name):
        Bundle.load(path)


def test_another_format_is_refused(folder):
    path, _ = folder
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(InputError, match="bundle format 99"):
        Bundle.load(path)


def test_nothing_is_left_when_saving_fails(folder, tmp_path):
    _, bundle = folder
    broken = Bundle(bundle.state, bundle.panel, bundle.references, {"x": object()})
    with pytest.raises(TypeError):
        broken.save(tmp_path / "other" / "bundle")
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("hashes", [{}, None, "x", {"card": "x"}])
def test_a_card_without_its_hashes_is_said(folder, hashes):
    path, _ = folder
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps({**card, "sha256": hashes}))
    with pytest.raises(InputError, match="damaged"):
        Bundle.load(path)


def test_without_shared_types_and_with_strided_arrays(tmp_path):
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    panel = Panel(("A", "B"), ("B", "A"), np.arange(6.0)[::3], np.arange(6.0)[1::3])
    Bundle({"w": grid.T, "v": grid[:, 1]}, panel, {}, {}).save(tmp_path / "b")
    again = Bundle.load(tmp_path / "b")
    assert again.references == {}
    np.testing.assert_array_equal(again.state["w"], grid.T)
    np.testing.assert_array_equal(again.state["v"], [1, 5, 9])
    np.testing.assert_array_equal((again.panel.mean, again.panel.sd), [[0, 3], [1, 4]])


def test_nothing_in_the_source_unpickles():
    root = Path(__file__).parents[1]
    packages = ("cli", "client", "common", "report", "server", "strategies")
    files = [path for name in packages for path in (root / name).rglob("*.py")]
    assert root / "common" / "bundle.py" in files
    for path in files:
        assert not re.search(r"pickle|torch\.(load|save)\b|joblib", path.read_text()), path


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}'])
def test_a_damaged_card_is_said(folder, text):
    path, _ = folder
    (path / "card.json").write_text(text)
    with pytest.raises(InputError, match=r"damaged|bundle format"):
        Bundle.load(path)


def test_swapped_genes_are_refused(folder):
    path, _ = folder
    card = json.loads((path / "card.json").read_text())
    card["genes"].reverse()
    (path / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="differs from its own hash"):
        Bundle.load(path)
