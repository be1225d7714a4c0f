"""What no training changes reaches a site once; rounds send and return the rest alone."""

import shutil

import numpy as np
import pytest

from client import fixed_values
from common.classification.published import PublishedClassifier
from common.errors import InputError, SiteFailure, WireError
from common.fixed_values import digest_of_values, split_values
from common.models.classifiers.build import exchanged_names
from strategies.fixed_values import FixedValues
from strategies.records import arrays_of, to_record
from tests.classified import classify, labelled_sites
from tests.flower_replies import reply_of
from tests.in_process import InProcessGrid, Stopped, stopping
from tests.small_sites import lines, write_sites
from tests.test_lost_sites import losing

VALUES = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3)}
MODEL_PHASES = ("classifier_fit", "validation", "temperature", "confidences", "held_out")


@pytest.fixture
def sent(monkeypatch):
    """Every message to a site: its phase and its arrays."""
    seen, own = [], InProcessGrid.push_messages

    def push(grid, messages):
        messages = list(messages)
        seen.extend(
            (m.metadata.message_type.partition(".")[2], m.metadata.dst_node_id, m.content)
            for m in messages
        )
        return own(grid, messages)

    monkeypatch.setattr(InProcessGrid, "push_messages", push)
    return seen


def names_in(sent, phase, group):
    return {tuple(arrays_of(content, group)) for p, _, content in sent if p == phase}


def test_a_hash_is_of_all_that_the_values_are():
    digest = digest_of_values(VALUES)
    assert digest == digest_of_values(dict(reversed(VALUES.items())))
    changed = [
        {"a": VALUES["a"]},
        VALUES | {"a": VALUES["a"].T},
        VALUES | {"a": VALUES["a"].astype(float)},
        VALUES | {"a": VALUES["a"] + 1},
        {"b": VALUES["a"], "n": VALUES["n"]},
    ]
    assert len({digest, *map(digest_of_values, changed)}) == 6
    assert digest_of_values({}) == ""
    own, rest = split_values(VALUES, ["n"])
    assert (list(own), list(rest)) == (["n"], ["a"])


class Cache:
    def __init__(self, folder):
        self.cache_dir = folder


def test_a_site_keeps_values_and_gives_none_that_changed(tmp_path):
    site = Cache(tmp_path / "cache")
    digest = fixed_values.keep(site, VALUES)
    assert fixed_values.keep(site, VALUES) == digest
    for name, value in fixed_values.kept(site, digest).items():
        np.testing.assert_array_equal(value, VALUES[name])
    assert fixed_values.kept(site, "") == {}
    (path,) = site.cache_dir.iterdir()
    for damage in (path.read_bytes()[:-8] + bytes(8), b"{}"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"not in the site's cache as they came.*--resume"):
            fixed_values.kept(site, digest)
        fixed_values.keep(site, VALUES)
    # Others take their place.
    other = fixed_values.keep(site, {"a": VALUES["a"]})
    assert len(list(site.cache_dir.iterdir())) == 1
    assert digest_of_values(fixed_values.kept(site, other)) == other
    with pytest.raises(InputError, match=digest[:12]):
        fixed_values.kept(site, digest)


@pytest.mark.parametrize(
    ("name", "fixed"), [("scdlc", ("selected",)), ("transformer", ("typical",)), ("actinn", None)]
)
def test_rounds_send_what_training_changes_alone(tmp_path, sent, name, fixed):
    data = write_sites(tmp_path / "data", labelled_sites())
    classify(tmp_path / "out", data, 3, classifier=name, rounds=2)
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    shape, size = published.trained.plan.shape, (len(published.panel.genes), 3)
    exchanged = exchanged_names(name, shape, *size)
    for phase in MODEL_PHASES:
        assert {frozenset(names) for names in names_in(sent, phase, "model")} == {
            frozenset(exchanged)
        }
    assert names_in(sent, "fixed_values", "fixed") == ({fixed} if fixed else set())
    assert sum(phase == "fixed_values" for phase, *_ in sent) == (3 if fixed else 0)
    state = published.trained.state
    assert set(state) == set(exchanged) | set(fixed or ())
    uploaded = [
        line["fields"]
        for line in lines(tmp_path / "out/sites/site-1/outbox.jsonl")
        if line["phase"] == "classifier_fit"
    ]
    n_values = sum(state[name].size for name in exchanged)
    assert {
        field["shape"][0] for fields in uploaded for field in fields if field["field"] == "update"
    } == {n_values}


def test_a_site_that_lost_its_cache_says_so_and_a_resumed_run_sends_it_anew(tmp_path):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"classifier": "transformer", "rounds": 3}
    classify(tmp_path / "whole", data, 3, **settings)
    seen = []

    def losing(message):
        seen.append(message.metadata.message_type)
        if seen.count("train.classifier_fit") == 3:
            for path in (tmp_path / "out/sites/site-2/cache").glob("*-fixed.safetensors"):
                path.unlink()
        return message

    with pytest.raises(SiteFailure, match=r"site-2\.h5ad: .*fixed values \w+ are not in the site"):
        classify(tmp_path / "out", data, 3, tamper=losing, **settings)
    with pytest.raises(Stopped):
        classify(
            tmp_path / "out",
            data,
            3,
            resume=True,
            run_id=8,
            tamper=stopping("temperature"),
            **settings,
        )
    run = classify(tmp_path / "out", data, 3, resume=True, run_id=9, **settings)
    assert run["status"] == "finished"
    whole, own = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    for name, value in whole.trained.state.items():
        np.testing.assert_array_equal(own.trained.state[name], value)


@pytest.mark.parametrize("phase", ["fixed_values", "classifier_fit"])
def test_a_site_that_comes_back_without_its_cache_gets_them_again(tmp_path, sent, phase):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"classifier": "transformer", "rounds": 2}
    classify(tmp_path / "whole", data, 3, **settings)
    sent.clear()
    lose = losing(phase, 2, [1])

    def tamper(message):
        answer = lose(message)
        if answer is not message:
            shutil.rmtree(tmp_path / "out/sites/site-2/cache")
        return answer

    run = classify(tmp_path / "out", data, 3, tamper=tamper, on_site_error="wait", **settings)
    assert run["status"] == "finished"
    assert [node for p, node, _ in sent if p == "fixed_values"] == [1, 2, 3] * 2
    whole, own = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    for name, value in whole.trained.state.items():
        np.testing.assert_allclose(own.trained.state[name], value, atol=1e-5)


def test_a_site_that_keeps_other_values_is_found_out():
    phase = FixedValues(VALUES)
    with pytest.raises(WireError, match="site 1 keeps values of hash 'x'"):
        phase.aggregate(0, [reply_of(1, to_record({"public": {"kept": "x"}}, {}))])
