"""classify from a checkpoint: the coordinator has it, the sites get its frozen part once."""

import json

import anndata
import numpy as np
import pytest
import torch

from client.labelling import label
from common.classification.published import PublishedClassifier
from common.errors import ConfigError, GeneError, SyncytiumError
from common.models.classifiers.geneformer_checkpoint import load_checkpoint
from strategies.records import content_bytes
from tests.bert_folders import SPECIAL, bert_config, bert_values, write_folder
from tests.classified import SMALL, PooledCells, classify, labelled_sites, plan_of
from tests.in_process import InProcessGrid, Stopped, run_in_process, stopping
from tests.small_sites import N_GENES, leftovers, lines, run_json, write_sites

GENES = [f"G{i}" for i in range(N_GENES)]
N_TOKENS = N_GENES + len(SPECIAL)
WORDS = "embeddings.word_embeddings.weight"


def checkpoint(folder, genes=GENES):
    """A small checkpoint over the genes of the small sites; an embedding is found by its bytes."""
    words = np.random.default_rng(5).normal(0, 0.5, (N_TOKENS, 8)).astype(np.float32)
    return write_folder(
        folder,
        config=bert_config(vocab_size=N_TOKENS),
        values=bert_values() | {WORDS: words},
        token_dictionary=SPECIAL | {gene: 4 + i for i, gene in enumerate(genes)},
        gene_median_dictionary={gene: 100 + i for i, gene in enumerate(genes)},
    )


@pytest.fixture
def messages(monkeypatch):
    """Phase, bytes and content of every message, either way."""
    seen, push, pull = [], InProcessGrid.push_messages, InProcessGrid.pull_messages

    def see(messages):
        for message in messages:
            phase = message.metadata.message_type.partition(".")[2]
            groups = message.content.array_records.values()
            data = b"".join(array.data for group in groups for array in group.values())
            seen.append((phase, content_bytes(message.content), data))
        return messages

    monkeypatch.setattr(
        InProcessGrid, "push_messages", lambda grid, sent: push(grid, see(list(sent)))
    )
    monkeypatch.setattr(InProcessGrid, "pull_messages", lambda grid, ids: see(pull(grid, ids)))
    return seen


def test_a_run_trains_and_exchanges_the_last_layers_of_a_checkpoint(tmp_path, messages):
    data, folder = write_sites(tmp_path / "data", labelled_sites()), checkpoint(tmp_path / "c")
    settings = {"classifier": "transformer", "checkpoint": str(folder)}
    run = classify(tmp_path / "out", data, 3, rounds=3, **settings)
    assert run["status"] == "finished"
    assert run["trained_layers"] == ["layers.1", "layers.2", "pooler", "head"]
    assert run["unknown_genes"] == []
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    plan = published.trained.plan
    assert plan.shape.trained == ("layers.1", "layers.2", "pooler", "head")
    assert plan.training.learning_rate == 1e-4
    before = load_checkpoint(folder, published.panel.genes, 3, 42)
    assert plan.shape == before.shape
    changed = {
        name.split(".")[0] if not name.startswith("layers") else name[:8]
        for name, value in published.trained.state.items()
        if not np.array_equal(value, before.state[name])
    }
    assert changed == {"layers.1", "layers.2", "pooler", "head"}
    # Its embeddings cross once to every site, and never come back.
    embedding = before.state["gene.weight"][7].tobytes()
    with_it = [phase for phase, _, data in messages if embedding in data]
    assert with_it == ["fixed_values"] * 3
    frozen = sum(v.nbytes for n, v in before.state.items() if n not in exchanged(published))
    sizes = {phase: n_bytes for phase, n_bytes, _ in reversed(messages)}
    assert sizes["fixed_values"] > frozen
    # What a site says of its own cells is what the classifier answers for them.
    config, _ = plan_of(**settings)
    pooled = PooledCells(labelled_sites(), published, config)
    answers = published.trained.probabilities(pooled.matrix, pooled.test, torch.device("cpu"))
    scores = json.loads((tmp_path / "out/classification.json").read_text())
    assert np.sum(scores["confusion"]) == len(answers)
    truth = pooled.y[pooled.test]
    right = np.count_nonzero(answers.argmax(axis=1) == truth)
    assert np.trace(np.array(scores["confusion"])[:, :3]) == right
    assert leftovers(tmp_path / "out") == []


def exchanged(published):
    n_genes = len(published.panel.genes)
    return set(published.trained.restored(n_genes).exchanged_names())


def test_a_stopped_run_goes_on_without_the_folder(tmp_path):
    data, folder = write_sites(tmp_path / "data", labelled_sites()), checkpoint(tmp_path / "c")
    settings = {"classifier": "transformer", "checkpoint": str(folder), "rounds": 3}
    settings["trained_layers"] = "head, layers.2"
    classify(tmp_path / "whole", data, 3, **settings)
    with pytest.raises(Stopped):
        classify(tmp_path / "out", data, 3, tamper=stopping("classifier_fit", 5), **settings)
    folder.rename(tmp_path / "elsewhere")
    run = classify(tmp_path / "out", data, 3, resume=True, run_id=8, **settings)
    assert run["status"] == "finished"
    assert [line["round"] for line in lines(tmp_path / "out/metrics.jsonl")] == [1, 2, 3]
    whole, own = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    assert own.trained.plan == whole.trained.plan
    assert own.trained.plan.shape.trained == ("head", "layers.2")
    # Nor does a later site need it.
    how = {"settings": {}, "reading": {"report": False}}
    label(tmp_path / "out/bundle", data / "site-1.h5ad", tmp_path / "labelled", **how)
    labelled = anndata.read_h5ad(tmp_path / "labelled/labelled.h5ad")
    assert labelled.obsm["syncytium_probabilities"].shape == (labelled.n_obs, 3)
    for name, value in whole.trained.state.items():
        np.testing.assert_array_equal(own.trained.state[name], value)


def test_real_sites_send_masked_sums_and_a_hash_of_what_they_keep(tmp_path):
    data, folder = write_sites(tmp_path / "data", labelled_sites()), checkpoint(tmp_path / "c")
    nodes = [
        {"data-path": str(data / f"site-{i}.h5ad"), "output-dir": str(tmp_path / f"{i}")}
        for i in (1, 2, 3)
    ]
    settings = {"classifier": "transformer", "checkpoint": str(folder), "min_sites": 3}
    run_in_process(tmp_path / "out", 3, node_configs=nodes, rounds=2, **SMALL, **settings)
    sent = [
        line
        for line in lines(tmp_path / "1/outbox.jsonl")
        if line["phase"] in ("fixed_values", "classifier_fit")
    ]
    phases = [line["phase"] for line in sent]
    assert phases == ["fixed_values", "classifier_fit", "classifier_fit"]
    assert [f["field"] for f in sent[0]["fields"]] == ["kept"]
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    n_values = sum(published.trained.state[name].size for name in exchanged(published))
    fields = {field["field"]: field for field in sent[1]["fields"]}
    assert (fields["update"]["shape"], fields["update"]["visibility"]) == ([n_values], "masked")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"classifier": "actinn"}, "checkpoint = '/c' with classifier = actinn: set classifier"),
        ({"classifier_form": "values"}, "classifier-form = values with a checkpoint"),
        (
            {"checkpoint": "", "trained_layers": "head"},
            "trained-layers = 'head' without checkpoint",
        ),
    ],
)
def test_settings_that_no_checkpoint_reads_are_refused(settings, match):
    given = {"classifier": "transformer", "checkpoint": "/c"} | settings
    with pytest.raises(ConfigError, match=match):
        plan_of(**given)


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"checkpoint": "c"}, ConfigError, "checkpoint = 'c': `flwr run` needs an absolute path"),
        ({"checkpoint": "/nowhere/c"}, ConfigError, "'/nowhere/c' is no folder at the coordinator"),
        ({"trained_layers": "layers.9"}, ConfigError, r"no part 'layers\.9' to train"),
        ({"genes": [f"H{i}" for i in range(N_GENES)]}, GeneError, "0 of the run's 40 genes"),
    ],
)
def test_a_checkpoint_that_does_not_fit_ends_the_run(tmp_path, changed, error, match):
    changed = dict(changed)
    folder = checkpoint(tmp_path / "c", changed.pop("genes", GENES))
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"classifier": "transformer", "checkpoint": str(folder)} | changed
    with pytest.raises(SyncytiumError, match=match) as caught:
        classify(tmp_path / "out", data, 3, **settings)
    assert isinstance(caught.value, error)
    assert run_json(tmp_path / "out")["status"] == "failed"
