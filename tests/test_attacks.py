"""Attacks on the masked sums that worked once: a coordinator that asks for what it should not."""

import zlib
from copy import deepcopy

import anndata
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord

from client.phases import moments as moments_phase
from common.errors import SecureSumError, SiteFailure, WireError
from common.secure.backend import SumContext
from common.secure.guard import Guard
from common.secure.site_keys import SiteKeys
from common.wire import PHASES
from server import preparation
from server.workflows import correct
from strategies.phase import message_to
from strategies.records import Request, content_digest, to_record, values_of
from strategies.secure_sum import SecureSum
from tests.masked_parties import Parties
from tests.real_sites import policy_file, real_sites, run
from tests.small_sites import federate, three_sites, write_sites
from tests.test_secure_sum import SITES, VOCABULARY, log_sums, masked_federation, moments

ELSEWHERE = VOCABULARY[::-1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("attacks") / "data", SITES)


def push(federation, messages):
    """The sites' answers."""
    ids = list(federation.grid.push_messages(messages))
    return list(federation.grid.pull_messages(ids))


@pytest.mark.parametrize("others_see", [VOCABULARY, ELSEWHERE])
def test_sites_that_are_asked_different_things_have_no_common_sum(data, tmp_path, others_see):
    """Genes in another order would mix what the sites see as one gene."""
    federation, sums = masked_federation(data, tmp_path)
    strategy = moments(sums)
    record = strategy.request(0, federation.node_ids)
    changed = to_record({**values_of(record), "vocabulary": others_see}, {})
    contents = {1: record, 2: changed, 3: changed}
    replies = push(federation, [message_to(n, "moments", c) for n, c in contents.items()])
    assert not any("error" in values_of(reply.content) for reply in replies)
    for reply in replies:
        strategy.receive(reply)
    while messages := strategy.follow_up(replies):
        replies = push(federation, messages)
    summed = strategy.aggregate(0, replies).values["sum_log"]
    if others_see == VOCABULARY:
        np.testing.assert_allclose(summed, log_sums([0, 1, 2]), rtol=1e-9)
    else:
        mixed = log_sums([0]) + log_sums([1, 2])[::-1]
        assert not np.isclose(summed, mixed, rtol=0.1).any()


def test_the_runs_settings_are_part_of_what_is_asked(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path)
    sums.settings = "others"
    summed = federation.run(moments(sums)).values["sum_log"]
    assert not np.isclose(summed, log_sums([0, 1, 2]), rtol=0.1).any()


def test_keys_for_the_first_sum_are_offered_once():
    """Its seed, and later its round key, would open one upload."""
    parties = Parties(4)
    for name in parties.names:
        parties.upload(name)
    parties.offers = parties.offered(1, parties.names)
    parties.upload("site-00", number=1)
    assert 0 not in parties.sites["site-00"].keys.sums
    with pytest.raises(SecureSumError, match="keys for sum 0 were asked for, and 2 is next"):
        parties.sites["site-00"].offer(0, parties.names, parties.threshold)


def test_a_refusal_comes_before_anything_is_computed(data, tmp_path, monkeypatch):
    """Else whether a value was out of range would be told to whoever asks, without a sum."""
    federation, sums = masked_federation(data, tmp_path)
    computed = []
    monkeypatch.setattr(moments_phase, "run", lambda *_: computed.append(1))
    strategy = moments(sums)
    record = strategy.request(0, federation.node_ids)
    without = to_record({**values_of(record), "keys": {}}, {})
    unnamed = to_record({k: v for k, v in values_of(record).items() if k != "sum"}, {})
    for content in (without, unnamed):
        (reply,) = push(federation, [message_to(1, "moments", content)])
        assert "error" in values_of(reply.content)
    assert not computed


def test_the_mean_of_a_few_cells_is_not_to_be_had(tmp_path, monkeypatch):
    sites = real_sites(tmp_path, ["a", "b", "c"])
    monkeypatch.setattr(correct.Correct, "maxima", lambda *_: {"A": 1})
    with pytest.raises(SiteFailure, match=r"min-reference-cells = 20: the mean of 1 cells of 'A'"):
        run(tmp_path / "out", list(sites.values()))


def test_genes_that_a_site_lacks_are_not_summed(tmp_path, monkeypatch):
    """They might be those that one other site alone has."""
    from common.data.genes import Vocabulary

    sites = real_sites(tmp_path, ["a", "b", "c"])
    more = Vocabulary((*VOCABULARY, "only-there"), {})
    monkeypatch.setattr(preparation, "agree", lambda *_, **__: more)
    with pytest.raises(SiteFailure, match=r"the site lacks 2% of the genes asked for"):
        run(tmp_path / "out", list(sites.values()))


def test_the_order_of_what_is_asked_is_part_of_it():
    """A phase may write into the rows of a sum in that order."""
    asked = {"maxima": {"A": 30, "B": 40}}
    other = {"maxima": {"B": 40, "A": 30}}
    assert content_digest(asked, {}, "") != content_digest(other, {}, "")
    arrays = {"model": {"w": np.arange(6.0).reshape(2, 3)}}
    digest = content_digest(asked, arrays, "s")
    back = Request(to_record({**asked, "sum": {**vars(SumContext("7", "x", 0, 0, 2))}}, arrays))
    assert back.context("s").content == digest
    for changed in (np.arange(6.0).reshape(3, 2), np.arange(6.0, dtype=np.float32).reshape(2, 3)):
        assert content_digest(asked, {"model": {"w": changed}}, "s") != digest
    assert content_digest(asked, {"other": arrays["model"]}, "s") != digest
    assert content_digest(asked, arrays, "t") != digest


def test_a_site_whose_memory_was_lost_answers_no_sum_again(data, tmp_path):
    """As when its process ends after the reply has left and before its state is kept."""
    federation, sums = masked_federation(data, tmp_path)
    strategy = moments(sums)
    record = strategy.request(0, federation.node_ids)
    before = deepcopy(federation.grid.states[1])
    (first,) = push(federation, [message_to(1, "moments", record)])
    assert "error" not in values_of(first.content)
    federation.grid.states[1] = before
    (again,) = push(federation, [message_to(1, "moments", record)])
    assert "sum 0 of run 7 was asked for twice" in values_of(again.content)["error"]["reason"]


def test_a_threshold_below_the_policys_least_is_refused():
    """Fewer honest sites than the policy wants could open a sum."""
    guard = Guard("bern", min_sites=4)
    guard.enough(5, 4, 5)
    with pytest.raises(SecureSumError, match=r"threshold of 3 of 5, .* from 4 to"):
        guard.enough(5, 3, 5)


def test_a_message_that_unpacks_to_much_is_refused_and_logged(tmp_path, monkeypatch):
    blob = np.frombuffer(zlib.compress(b'{"x": "' + b" " * 10**7 + b'"}'), np.uint8)
    assert len(blob) < 20_000
    small = to_record({}, {})
    small["json"] = ArrayRecord({"json": Array(blob)})
    with pytest.raises(WireError, match=r"unpacks to more than 2 MB"):
        _ = Request(small, 2e6).values
    sites = real_sites(tmp_path, ["a", "b", "c"])
    sites["a"]["policy"] = policy_file(tmp_path / "a.toml", **{"largest-message-mb": 0.002})
    with pytest.raises(SiteFailure, match="policy rule largest-message-mb"):
        run(tmp_path / "out", list(sites.values()))


def test_a_message_with_other_records_is_refused(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path)
    record = moments(sums).request(0, federation.node_ids)
    record["more"] = ConfigRecord({"x": bytes(10)})
    (reply,) = push(federation, [message_to(1, "moments", record)])
    assert "other records than arrays" in values_of(reply.content)["error"]["reason"]


def test_what_a_coordinator_names_is_text_in_the_corrected_file(tmp_path, monkeypatch):
    """As a table its keys would be paths within the file: over X, or over obs."""
    data = write_sites(tmp_path / "data", three_sites())
    real = SecureSum.__init__

    def renamed(strategy, phase, **content):
        if phase == "correct":
            content["values"] = {**content["values"], "run": {"/X": 1}}
        real(strategy, phase, **content)

    monkeypatch.setattr(SecureSum, "__init__", renamed)
    federate(tmp_path / "out", data, 3)
    for number, before in enumerate(three_sites(), start=1):
        path = tmp_path / f"out/sites/site-{number}/corrected.h5ad"
        after = anndata.read_h5ad(path)
        np.testing.assert_array_equal(after.X.toarray(), before.X.toarray())


def test_keys_are_of_one_run():
    """Flower keeps a run's state for the next run of its series."""
    from client.app import KEYS, _keys

    state = to_record({}, {})
    old = SiteKeys("7", n_offered=3, asked={"moments": 1})
    state[KEYS] = ConfigRecord({KEYS: old.to_bytes()})
    assert _keys(state, "7").n_offered == 3
    fresh = _keys(state, "8")
    assert (fresh.run, fresh.n_offered, fresh.asked) == ("8", 0, {})
    assert fresh.agreement != old.agreement


def test_no_phase_is_spared():
    """Every phase with masked fields is counted, so that none can be asked again and again."""
    uncounted = {name for name, phase in PHASES.items() if phase.masked() and not phase.times}
    # Training: a round each, and each at another model. Of noised_sums a stage each, and paid.
    assert uncounted == {
        "fit",
        "classifier_fit",
        "classifier_fit_of_some",
        "linear_gradient",
        "tree_sums",
        "bagged_trees",
        "noised_sums",
    }
    assert all(PHASES[name].train for name in uncounted)
