"""bf16: near float32 in every network, in its products alone, and only where the device has it."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from common import precision
from common.bundle import Bundle
from common.classification.training import class_logits, classifier_descent, fit_classifier
from common.config import RunConfig
from common.errors import ConfigError
from common.gradient import descent
from common.models.build import build_model
from common.models.classifiers import cell_graph
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.recipe import ClassifierTraining
from common.models.classifiers.registry import CLASSIFIERS
from common.models.classifiers.scsmd import pairwise_loss, softmax
from common.models.state import state_of
from common.models.vae import kl_divergence
from common.precision import FLOAT32, Precision, cpu_has_bf16, precision_of
from common.training import fit
from server.frozen import require_frozen_settings
from tests.classified import classify, labelled_sites, plan_of
from tests.classifier_cells import FORMS, labelled_cells, small_classifier
from tests.expression import CPU, flatten, small_matrix, small_preset
from tests.small_sites import federate, lines, run_json, three_sites, write_sites

BF16 = Precision(bf16=True)
# A value keeps 8 bits. Of a gradient 3 % was the most seen, of the loss after 48 steps 5 %.
NEAR, NEAR_AFTER_STEPS = 0.04, 0.07
MATRIX, LABELS = labelled_cells(n_cells=120)
ROWS = np.arange(120)
TRAINING = ClassifierTraining(rounds=4, local_epochs=3, batch_size=30, learning_rate=3e-3)


def without_dropout(name, form):
    """Draws differ between types of numbers."""
    rate = {"dropout": 0.0} if name not in ("logistic", "svm") else {}
    return small_classifier(name, form, **rate)


def curve(name, form, how):
    model = without_dropout(name, form)
    training = replace(TRAINING, optimizer=CLASSIFIERS.get(name).training.optimizer)
    return [
        fit_classifier(
            model, MATRIX, LABELS, ROWS, training, round_=r, seed=3, device=CPU, precision=how
        )
        for r in range(1, 5)
    ], model


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_classifier_trains_as_in_float32(name, form):
    (exact, _), (near, model) = curve(name, form, FLOAT32), curve(name, form, BF16)
    assert exact[-1] < exact[0]
    np.testing.assert_allclose(near, exact, rtol=NEAR_AFTER_STEPS)
    assert near != exact
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_classifiers_gradient_is_near_that_of_float32(name, form):
    steps = {}
    for how in (FLOAT32, BF16):
        step, _ = classifier_descent(
            without_dropout(name, form),
            MATRIX,
            LABELS,
            ROWS,
            TRAINING,
            round_=1,
            seed=3,
            device=CPU,
            precision=how,
        )
        assert {value.dtype for value in step.values()} == {np.dtype(np.float32)}
        steps[how] = flatten(step)
    off = np.linalg.norm(steps[BF16] - steps[FLOAT32]) / np.linalg.norm(steps[FLOAT32])
    assert 0 < off < NEAR


def vae(name):
    preset = small_preset(name, batch_size=20, local_epochs=3)
    return replace(preset, shape=replace(preset.shape, dropout=0.0)), small_matrix(n_cells=80)


@pytest.mark.parametrize("name", ["default", "fedscgen"])
def test_a_vae_trains_as_in_float32(name):
    preset, matrix = vae(name)
    rows, curves, steps = np.arange(80), {}, {}
    for how in (FLOAT32, BF16):
        model = build_model(preset, 20, 0)
        drawn = {"seed": 5, "device": CPU, "precision": how}
        step, _ = descent(model, matrix, rows, preset.training, round_=1, **drawn)
        steps[how] = flatten(step)
        curves[how] = [
            fit(model, matrix, rows, preset.training, round_=r, **drawn) for r in range(1, 5)
        ]
    assert curves[FLOAT32][-1] < curves[FLOAT32][0]
    np.testing.assert_allclose(curves[BF16], curves[FLOAT32], rtol=NEAR_AFTER_STEPS)
    off = np.linalg.norm(steps[BF16] - steps[FLOAT32]) / np.linalg.norm(steps[FLOAT32])
    assert 0 < off < NEAR


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16()


@pytest.mark.parametrize(
    ("term", "values"),
    [
        (
            lambda x: ClassBalance(torch.tensor([1.0, 3.0, 0.2])).cross_entropy(
                x, torch.arange(9) % 3
            ),
            8 * drawn(9, 3),
        ),
        (lambda x: kl_divergence(x, x), drawn(9, 4)),
        (lambda x: pairwise_loss(softmax(x, 1), 0.4, 0.3), drawn(9, 3)),
        (cell_graph.cosine_graph, drawn(9, 5)),
        (cell_graph.covariance_graph, drawn(9, 5)),
        (cell_graph.orthogonality, drawn(9, 4)),
        (lambda x: cell_graph.cut(x, torch.eye(9) - 0.1), drawn(9, 4)),
    ],
)
def test_terms_of_a_loss_are_in_float32(term, values):
    with BF16.on(CPU):
        within = term(values)
    assert within.dtype == torch.float32
    np.testing.assert_allclose(within, term(values.float()), rtol=2e-6)


def test_products_alone_are_narrow_and_float64_stays_as_it_is():
    a = torch.full((2, 2), 1 + 2.0**-12)
    with BF16.on(CPU):
        assert (a @ a).dtype == torch.bfloat16
        assert precision.in_float32(torch.matmul)(a, a.bfloat16()).dtype == torch.float32
    with FLOAT32.on(CPU):
        assert (a @ a).dtype == torch.float32
    logits = torch.zeros(2, 2, dtype=torch.float64)
    assert ClassBalance().cross_entropy(logits, torch.tensor([0, 1])).dtype == torch.float64


@pytest.mark.parametrize(
    ("has", "answer"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
    ],
)
def test_a_cpu_is_asked_for_its_own_instructions(monkeypatch, has, answer):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert cpu_has_bf16() is answer
    how = precision_of("bf16", CPU)
    assert how.bf16 is answer
    assert ("no instructions for bfloat16" in how.reason) is not answer
    assert precision_of("float32", CPU) == FLOAT32


@pytest.mark.parametrize("has", [True, False])
def test_an_older_torch_is_asked_in_its_way(monkeypatch, has):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert cpu_has_bf16() is has


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_must_not_only_emulate_it(monkeypatch, has):
    asked = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")

    def supported(including_emulation):
        asked.append(including_emulation)
        return has

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    how = precision_of("bf16", torch.device("cuda"))
    assert (how.bf16, asked) == (has, [False])
    assert has or "the GPU, Tesla T4, has no bfloat16" in how.reason
    assert "type mps" in precision_of("bf16", torch.device("mps")).reason


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("precision") / "data", labelled_sites())


def run_classify(out, data, monkeypatch, capable, **settings):
    """A run whose sites' CPUs have bfloat16 where ``capable`` says so, asked in each round."""
    monkeypatch.setattr(precision, "cpu_has_bf16", capable)
    run = classify(out, data, 3, classifier="actinn", rounds=2, learning_rate=0.01, **settings)
    return run, Bundle.load(out / "bundle").state


@pytest.mark.parametrize("strategy", ["fedsgd", "fedavg"])
def test_a_run_without_it_is_the_run_in_float32_and_says_why(tmp_path, data, monkeypatch, strategy):
    settings = {"strategy": strategy}
    plain, wide = run_classify(tmp_path / "plain", data, monkeypatch, lambda: True, **settings)
    assert "float32_sites" not in plain
    settings["precision"] = "bf16"
    run, state = run_classify(tmp_path / "without", data, monkeypatch, lambda: False, **settings)
    assert run["float32_sites"] == {"n": 3, "of": 3}
    for name, value in wide.items():
        np.testing.assert_array_equal(state[name], value)
    told = [
        line.get("float32")
        for line in lines(tmp_path / "without/sites/site-1/outbox.jsonl")
        if line["phase"] == "classifier_fit"
    ]
    assert len(told) == 2
    assert all("the CPU has no instructions for bfloat16" in reason for reason in told)
    page = (tmp_path / "without/report.html").read_text()
    assert "3 of 3 sites trained in float32: their device has no bf16." in page
    run, narrow = run_classify(tmp_path / "with", data, monkeypatch, lambda: True, **settings)
    assert run["float32_sites"] == {"n": 0, "of": 3}
    assert "sites trained in float32" not in (tmp_path / "with/report.html").read_text()
    assert any((narrow[name] != value).any() for name, value in wide.items())
    assert {value.dtype for value in narrow.values()} == {np.dtype(np.float32)}
    # What is told of the model that a run begins with does not depend on it.
    first = [lines(tmp_path / k / "metrics.jsonl")[0] for k in ("plain", "with")]
    assert first[0]["validation_loss_before"] == first[1]["validation_loss_before"]
    assert first[0]["train_loss"] != first[1]["train_loss"]
    assert first[0]["train_loss"] == pytest.approx(first[1]["train_loss"], rel=NEAR)


def test_some_sites_have_it(tmp_path, data, monkeypatch):
    answers = iter([True, False, True] * 2)
    run, _ = run_classify(
        tmp_path / "out", data, monkeypatch, lambda: next(answers), precision="bf16"
    )
    assert run["float32_sites"] == {"n": 1, "of": 3}
    logs = [lines(tmp_path / f"out/sites/site-{i}/outbox.jsonl") for i in (1, 2, 3)]
    assert [any("float32" in line for line in log) for log in logs] == [False, True, False]


@pytest.mark.parametrize("preset", ["default", "fedscgen"])
def test_a_correction_trains_in_it(tmp_path, monkeypatch, preset):
    data = write_sites(tmp_path / "data", three_sites())
    losses = {}
    for asked, has in (("float32", True), ("bf16", True), ("bf16", False)):
        monkeypatch.setattr(precision, "cpu_has_bf16", lambda has=has: has)
        out = tmp_path / f"{asked}-{has}"
        federate(out, data, 3, preset=preset, precision=asked, evaluate=False)
        losses[asked, has] = [
            line["validation_loss_before"] for line in lines(out / "metrics.jsonl")
        ]
    wide, narrow, fallen_back = losses.values()
    assert fallen_back == wide != narrow
    np.testing.assert_allclose(narrow, wide, rtol=NEAR)
    assert run_json(tmp_path / "bf16-False")["float32_sites"] == {"n": 3, "of": 3}


@pytest.mark.parametrize(
    "settings", [{"classifier": "logistic"}, {"classifier": "svm"}, {"classifier": "xgboost"}]
)
def test_who_does_not_read_it_refuses_it(settings):
    with pytest.raises(ConfigError, match="does not read precision = bf16"):
        plan_of(precision="bf16", **settings)


def test_nor_does_a_model_that_is_not_trained():
    config = RunConfig.parse({"precision": "bf16", "model": "/b"}, where="test")
    with pytest.raises(ConfigError, match="precision: with model = '/b'"):
        require_frozen_settings(config)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_gpu_trains_as_in_float32(name, form):
    device, losses = torch.device("cuda"), []
    assert precision_of("bf16", device).bf16
    for how in (FLOAT32, BF16):
        model = without_dropout(name, form)
        drawn = {"round_": 1, "seed": 3, "device": device, "precision": how}
        losses.append(fit_classifier(model, MATRIX, LABELS, ROWS, TRAINING, **drawn))
        assert class_logits(model, MATRIX, ROWS, TRAINING, device).dtype == np.float32
    assert losses[1] == pytest.approx(losses[0], rel=NEAR)
    assert {value.dtype for value in state_of(model).values()} <= {
        np.dtype(np.float32),
        np.dtype(np.int64),
    }
