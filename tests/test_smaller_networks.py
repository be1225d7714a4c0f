"""Reduced forms are half the work, nothing without a gradient is sent, parts train alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.network_sizes import classifier_size, table, vae_size
from common.bundle import Bundle
from common.classification.published import PublishedClassifier
from common.classification.training import classifier_descent, fit_classifier
from common.config import RunConfig
from common.config_classify import ClassifySettings
from common.errors import ConfigError
from common.gradient import descent
from common.models.build import build_model, exchanged_names, parameter_names
from common.models.classifiers import build
from common.models.classifiers.build import build_classifier, shape_of
from common.models.classifiers.recipe import ClassifierTraining
from common.models.classifiers.registry import CLASSIFIERS
from common.models.classifiers.trained_parts import parts_of
from common.models.state import state_of
from common.presets import PRESETS, resolve
from server.frozen import require_frozen_settings
from tests.classified import classify, labelled_sites, plan_of
from tests.classifier_cells import (
    FORMS,
    N_CLASSES,
    N_GENES,
    SMALL,
    labelled_cells,
    small_classifier,
)
from tests.expression import CPU, small_matrix, small_preset
from tests.small_sites import federate, lines, three_sites, write_sites

SMALLER = [
    ("actinn", "published", "reduced"),
    ("scdlc", "published", "reduced"),
    ("scdlc", "simplified", "simplified-halved"),
    ("sccdcg", "published", "reduced"),
    ("sccdcg", "simplified", "simplified-reduced"),
    ("scsmd", "published", "halved"),
    ("transformer", "published", "reduced"),
]
TRAINING = ClassifierTraining(rounds=1, local_epochs=1, batch_size=45, learning_rate=0.01)


@pytest.mark.parametrize(("name", "form", "smaller"), SMALLER)
def test_a_smaller_form_has_half_the_parameters_and_half_the_work(name, form, smaller):
    whole, half = classifier_size(name, form), classifier_size(name, smaller)
    assert all(less <= 0.52 * more for less, more in zip(half, whole, strict=True))


def test_every_network_has_one():
    networks = {n for n in CLASSIFIERS.names() if CLASSIFIERS.get(n).fitted == "network"}
    assert networks == {name for name, *_ in SMALLER}


@pytest.mark.parametrize(
    ("name", "form", "smaller"),
    [("scsmd", "published", "reduced"), ("scdlc", "simplified", "simplified-reduced")],
)
def test_two_of_scflgreens_reduced_forms_save_almost_nothing(name, form, smaller):
    whole, less = classifier_size(name, form), classifier_size(name, smaller)
    assert all(0.95 * more < fewer < more for fewer, more in zip(less, whole, strict=True))


def test_the_page_has_what_is_counted():
    assert table() in (Path(__file__).parent.parent / "docs/green.md").read_text()


@pytest.mark.parametrize("name", ["logistic", "svm", "xgboost"])
def test_who_has_no_reduced_form_names_those_that_there_are(name):
    with pytest.raises(ConfigError, match=rf"{name} has no form 'reduced': .*published"):
        plan_of(classifier=name, classifier_form="reduced")


@pytest.mark.parametrize("name", PRESETS)
def test_a_reduced_vae_has_half_the_widths(name):
    whole, reduced = vae_size(name, "full"), vae_size(name, "reduced")
    # Of the default, the linear path stays.
    assert all(less <= 0.54 * more for less, more in zip(reduced, whole, strict=True))
    full, half = (
        resolve(RunConfig.parse({"preset": name, "vae-form": form}, where="test")).shape
        for form in ("full", "reduced")
    )
    assert half.hidden == tuple(width // 2 for width in full.hidden)
    assert half.latent_dim == full.latent_dim


def test_a_reduced_vae_is_trained_and_published(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    how = {"hidden": "", "vae_form": "reduced", "rounds": 1, "evaluate": False}
    federate(tmp_path / "out", data, 3, **how)
    bundle = Bundle.load(tmp_path / "out/bundle")
    assert bundle.preset.shape.hidden == (256,)
    assert bundle.state["encoder.0.0.weight"].shape == (256, 40)


def test_widths_are_given_once():
    with pytest.raises(ConfigError, match="hidden = '64' with vae-form = reduced"):
        RunConfig.parse({"hidden": "64", "vae-form": "reduced"}, where="test")
    with pytest.raises(ConfigError, match="vae-form: with model"):
        require_frozen_settings(RunConfig.parse({"vae-form": "reduced", "model": "/b"}, where=""))
    with pytest.raises(ConfigError, match="vae-form = 'reduced' is not of task = classify"):
        RunConfig.parse({"vae-form": "reduced", "task": "classify"}, where="test")


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_nothing_is_exchanged_that_no_term_of_the_loss_reaches(name, form):
    matrix, labels = labelled_cells()
    model = small_classifier(name, form)
    drawn = {"round_": 1, "seed": 3, "device": CPU}
    step, _ = classifier_descent(model, matrix, labels, np.arange(90), TRAINING, **drawn)
    assert sorted(step) == sorted(model.exchanged_names())
    assert all(value.any() for value in step.values())


@pytest.mark.parametrize("name", PRESETS)
def test_nor_of_a_vae(name):
    preset, matrix = small_preset(name), small_matrix()
    model = build_model(preset, 20, 0)
    drawn = {"round_": 1, "seed": 3, "device": CPU}
    step, _ = descent(model, matrix, np.arange(60), preset.training, **drawn)
    assert all(value.any() for value in step.values())
    assert list(step) == parameter_names(preset)
    # Batch norm's means and variances are made by training, though by no gradient.
    beside = set(exchanged_names(preset)) - set(step)
    assert {n.rpartition(".")[2] for n in beside} == (
        {"running_mean", "running_var"} if name == "fedscgen" else set()
    )
    left = set(state_of(model)) - set(exchanged_names(preset))
    assert {n.rpartition(".")[2] for n in left} == (
        {"num_batches_tracked"} if name == "fedscgen" else {"bias"}
    )


def size_of(name, form):
    return name, replace(shape_of(name, form), **SMALL[name]), N_GENES, N_CLASSES


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_parts_of_a_classifier_are_trained_alone(name, form):
    matrix, labels = labelled_cells()
    model, network = small_classifier(name, form), size_of(name, form)
    parts, every = parts_of(model), build.exchanged_names(*network)
    assert build.exchanged_names(*network, ()) == every == model.exchanged_names()
    seen = []
    for part in parts:
        names = build.exchanged_names(*network, (part,))
        assert names
        assert all(n == part or n.startswith(f"{part}.") for n in names)
        assert build.trainable_names(*network, (part,)) == names
        state = {key: value.copy() for key, value in state_of(model).items()}
        alone = build.restore_classifier(*network, state, (part,))
        fit_classifier(alone, matrix, labels, np.arange(90), TRAINING, round_=1, seed=3, device=CPU)
        after = state_of(alone)
        changed = [n for n, value in state.items() if (after[n] != value).any()]
        assert changed
        assert set(changed) <= set(names)
        seen += names
    assert sorted(seen) == sorted(every)
    with pytest.raises(ConfigError, match=rf"{name} has no part 'heat' to train: .*{parts[-1]}"):
        build.exchanged_names(*network, ("heat",))


@pytest.fixture
def parts(monkeypatch):
    """As a run has them whose classifier does not begin from scratch."""

    def name(*parts):
        monkeypatch.setattr(ClassifySettings, "trained_parts", parts)

    return name


@pytest.mark.parametrize("strategy", ["fedsgd", "fedavg", "fedavgm"])
def test_a_run_trains_and_sends_its_parts_alone(tmp_path, parts, strategy):
    data = write_sites(tmp_path / "data", labelled_sites())
    parts("head", "layers.2")
    run = classify(tmp_path / "out", data, 3, classifier="actinn", rounds=2, strategy=strategy)
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    state, plan = published.trained.state, published.trained.plan
    assert plan.trained == ("head", "layers.2")
    network = build_classifier("actinn", plan.shape, 40, len(published.vocabulary.classes), 42)
    fresh = state_of(network)
    changed = {name for name, value in state.items() if (value != fresh[name]).any()}
    own = {f"{part}.{kind}" for part in plan.trained for kind in ("weight", "bias")}
    assert changed == own
    assert run["n_exchanged"] == sum(state[name].size for name in own)
    sent = lines(tmp_path / "out/sites/site-1/outbox.jsonl")
    phases = [line["phase"] for line in sent]
    assert phases.count("fixed_values") == 1
    shapes = {f["shape"][0] for line in sent for f in line["fields"] if f["field"] == "update"}
    assert shapes == {run["n_exchanged"]}


def test_a_part_that_there_is_not_ends_the_run_at_once(parts):
    parts("heat")
    told = r"actinn has no part 'heat' to train: did you mean 'head'\?"
    with pytest.raises(ConfigError, match=told):
        plan_of(classifier="actinn")
