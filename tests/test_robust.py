"""Strategies that withstand a wrong site: on vectors, and end to end with a site that lies."""

import numpy as np
import pytest
from flwr.app import ArrayRecord

from common.bundle import Bundle
from common.config import RunConfig
from common.errors import ConfigError, SecureSumError
from common.secure.fields import pack, unpack
from common.secure.masked import MaskedBackend
from common.secure.running_sum import VECTOR
from common.strategy_names import ROBUST
from strategies.by_name import strategy_of
from strategies.records import arrays_of, to_array, values_of
from strategies.robust import RobustRound
from tests.flower_replies import CONTENT, N_CELLS, upload_of
from tests.small_sites import federate, lines, site, write_sites

N_VALUES, N_SITES, OUTLIER = 12, 5, 3
RNG = np.random.default_rng(8)
START = RNG.normal(0, 1, N_VALUES)
CHANGES = RNG.normal(0, 0.1, (N_SITES, N_VALUES)) + 0.2
CHANGES[OUTLIER] = 500 * RNG.choice([-1, 1], N_VALUES)
N_TRAIN = [10, 20, 15, 40, 15]
MODELS = START + CHANGES


def parsed(name, **settings):
    values = {key.replace("_", "-"): value for key, value in settings.items()}
    return RunConfig.parse({"strategy": name, "secure-sum": "off", **values}, where="test")


def aggregated(name, order=range(N_SITES), dtype=np.float64, **settings):
    """The state that a round makes of uploads that arrive in this order."""
    before = {"a.weight": START[:8].reshape(2, 4), "a.running_var": START[8:]}
    state = {key: value.astype(dtype) for key, value in before.items()}
    state["a.num_batches_tracked"] = np.array(7)
    round_of = RobustRound(state, N_CELLS, config=parsed(name, **settings), **CONTENT)
    round_of.request(1, list(range(N_SITES)))
    replies = [upload_of(i, CHANGES[i], N_TRAIN[i], N_SITES) for i in order]
    for reply in replies:
        round_of.receive(reply)
    trained = round_of.step(1, round_of.aggregate(1, replies), replies[0])
    assert trained.state["a.num_batches_tracked"] == 7
    assert trained.state["a.weight"].dtype == dtype
    assert (trained.n_sites, trained.n_train, trained.train_loss) == (len(replies), 100, 0.5)
    return np.concatenate([trained.state[key].ravel() for key in before])


def krum(models, n_wrong):
    """Blanchard et al. 2017: the model with the least squared distances to its nearest others."""
    scores = []
    for model in models:
        distances = np.sort(((models - model) ** 2).sum(axis=1))
        scores.append(distances[1 : len(models) - n_wrong - 1].sum())
    return models[int(np.argmin(scores))]


# The running variances of the last entries are kept above zero when a site's model is rebuilt.
NON_NEGATIVE = np.where(np.arange(N_VALUES) < 8, MODELS, np.maximum(MODELS, 0))
EXPECTED = {
    "krum": krum(NON_NEGATIVE, 1),
    "fedmedian": np.median(NON_NEGATIVE, axis=0),
    "fedtrimmedavg": np.sort(NON_NEGATIVE, axis=0)[1:-1].mean(axis=0),
}


@pytest.mark.parametrize("name", ROBUST)
def test_an_outlier_is_withstood_as_the_papers_say(name):
    ours = aggregated(name)
    np.testing.assert_allclose(ours, EXPECTED[name], atol=1e-8)
    honest = np.delete(NON_NEGATIVE, OUTLIER, axis=0)
    assert (ours >= honest.min(axis=0) - 1e-8).all()
    assert (ours <= honest.max(axis=0) + 1e-8).all()
    # The mean is not.
    assert np.abs(np.average(MODELS, axis=0, weights=N_TRAIN) - ours).min() > 100


@pytest.mark.parametrize("name", ROBUST)
def test_the_order_of_arrival_decides_nothing(name):
    np.testing.assert_array_equal(aggregated(name), aggregated(name, order=[4, 1, 3, 0, 2]))


@pytest.mark.parametrize("name", ROBUST)
def test_single_precision_is_kept(name):
    np.testing.assert_allclose(aggregated(name, dtype=np.float32), EXPECTED[name], atol=1e-5)


def test_a_site_without_cells_is_named():
    round_of = RobustRound({"w": START}, N_CELLS, config=parsed("fedmedian"), **CONTENT)
    round_of.request(1, [1, 2, 3])
    replies = [upload_of(i, CHANGES[i], 20 * (i < 3), 3) for i in (1, 2, 3)]
    summed = round_of.aggregate(1, replies)
    with pytest.raises(SecureSumError, match="site 3 says it trained on 0 cells"):
        round_of.step(1, summed, replies[0])


@pytest.mark.parametrize("n_sites", [3, 5, 7, 23, 49])
def test_the_trimmed_mean_cuts_so_many_sites_at_either_end(n_sites):
    for malicious in range((n_sites + 1) // 2):
        config = parsed("fedtrimmedavg", malicious_sites=malicious)
        assert int(strategy_of(config, n_sites).beta * n_sites) == malicious


@pytest.mark.parametrize(
    ("name", "malicious", "least"),
    [("krum", 1, 5), ("krum", 2, 7), ("fedmedian", 1, 3), ("fedtrimmedavg", 2, 5)],
)
def test_too_few_sites_are_refused(name, malicious, least):
    config = parsed(name, malicious_sites=malicious)
    strategy_of(config, least)
    said = f"{name} with malicious-sites = {malicious} needs {least} sites and there are "
    with pytest.raises(ConfigError, match=said + str(least - 1)):
        strategy_of(config, least - 1)


def test_too_few_sites_are_told_before_they_have_worked(data, tmp_path):
    with pytest.raises(ConfigError, match="fedmedian with malicious-sites = 3 needs 7 sites"):
        federate(
            tmp_path / "out", data, 5, strategy="fedmedian", malicious_sites=3, secure_sum="off"
        )
    asked = {line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")}
    assert asked == {"describe"}


@pytest.mark.parametrize("name", ROBUST)
def test_masked_sums_hide_what_it_needs(name):
    with pytest.raises(ConfigError, match=f"strategy = {name} compares .* secure-sum = masked hid"):
        RunConfig.parse({"strategy": name}, where="test")
    content = {**CONTENT, "backend": MaskedBackend(2)}
    with pytest.raises(SecureSumError, match=f"strategy = {name} needs plain sums"):
        RobustRound({"w": START}, N_CELLS, config=parsed(name), **content)


SITES = [site({("p", "A"): 30 + 5 * i, ("p", "B"): 25}, seed=i) for i in range(5)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("robust") / "data", SITES)


def lying(reply):
    """Site 2 says that its training added 0.2 to every value."""
    if reply.metadata.message_type == "train.fit" and reply.metadata.src_node_id == 2:
        shapes = {name: tuple(s) for name, s in values_of(reply.content)["shapes"].items()}
        vector = arrays_of(reply.content, "upload")[VECTOR]
        fields = unpack("fit", vector, shapes, 5)
        fields["update"] = np.full_like(fields["update"], 0.2)
        fields = {name: np.rint(v) if name.startswith("n_") else v for name, v in fields.items()}
        wrong, _ = pack("fit", fields, 5)
        reply.content["upload"] = ArrayRecord({VECTOR: to_array(wrong)})
    return reply


def last_loss(data, out, strategy, tamper=lambda reply: reply):
    settings = {"preset": "fedscgen", "rounds": 3, "secure_sum": "off", "tamper": tamper}
    run = federate(out, data, 5, strategy=strategy, **settings)
    assert run["status"] == "finished"
    assert Bundle.load(out / "bundle").state
    return lines(out / "metrics.jsonl")[-1]["validation_loss_before"]


@pytest.mark.parametrize("strategy", ROBUST)
def test_a_site_that_lies_does_not_spoil_the_model(data, tmp_path, strategy):
    honest = last_loss(data, tmp_path / "honest", strategy)
    lied_to = last_loss(data, tmp_path / "lied-to", strategy, lying)
    assert lied_to < 1.1 * honest


def test_the_mean_is_spoilt(data, tmp_path):
    """The control: the lie is one that the test above would see."""
    honest = last_loss(data, tmp_path / "honest", "fedavg")
    assert last_loss(data, tmp_path / "lied-to", "fedavg", lying) > 2 * honest
