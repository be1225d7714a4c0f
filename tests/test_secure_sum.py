"""SecureSum over a backend of two trips: upload, reveal, open; lost sites; uploads that misfit."""

import numpy as np
import pytest
from flwr.app import Message

from common.config import RunConfig
from common.errors import SecureSumError, SiteFailure
from common.secure.backend import BACKENDS, Off, SumContext, backend
from common.wire import PHASES
from server.federation import Federation
from server.runs import RunFolder
from strategies.records import Request, arrays_of, to_record, values_of
from strategies.secure_sum import SecureSum
from tests.in_process import InProcessGrid
from tests.masked_backend import Masked
from tests.small_sites import federate, lines, run_json, site, three_sites, write_sites

VOCABULARY = [f"G{i}" for i in range(60)]
SITES = three_sites()
SUMS = np.array([np.asarray(data.X.sum(axis=0)).ravel() for data in SITES])


@pytest.fixture
def masked(monkeypatch):
    """The masked backend in place of the plain one, at the sites and at the coordinator."""
    monkeypatch.setitem(BACKENDS, "off", Masked)
    Masked.clear()
    return Masked


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("sums") / "data", SITES)


def federation_of(data, out, tamper=lambda reply: reply, **settings):
    values = {"data": str(data), "out": str(out), "n-sites": 3, "deadline": 0.2, **settings}
    config = RunConfig.parse(values, where="test")
    return Federation(InProcessGrid(3, config.flat(), tamper), config, RunFolder(out, config, 7))


def moments(min_sites=1, **content):
    return SecureSum(
        "moments",
        backend=backend("off"),
        run="7",
        min_sites=min_sites,
        values={"vocabulary": VOCABULARY},
        **content,
    )


def losing(kind, node_ids):
    """A tamper hook that drops the replies of some nodes to messages of one kind."""

    def drop(reply):
        lost = reply.metadata.src_node_id in node_ids
        return None if lost and reply.metadata.message_type == f"query.{kind}" else reply

    return drop


def log_sums(chosen):
    """Sum over cells of log1p CP10k of some sites, by numpy."""
    total = np.zeros(len(VOCABULARY))
    for number in chosen:
        counts = SITES[number].X.toarray().astype(np.float64)
        total += np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)).sum(axis=0)
    return total


def test_upload_reveal_open(masked, data, tmp_path):
    replies = []

    def keep(reply):
        replies.append(reply)
        return reply

    summed = federation_of(data, tmp_path, keep).run(moments())
    assert summed.n_sites == 3
    assert summed.count("n_cells") == sum(d.n_obs for d in SITES)
    np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 1, 2]), rtol=1e-9)
    assert [r.metadata.message_type for r in replies] == 3 * ["query.moments"] + 3 * [
        "query.reveal"
    ]
    context = SumContext("7", "moments", 0, 0, 3)
    assert masked.asked == [(s, ["1", "2", "3"], context) for s in ("1", "2", "3")]
    # The first word is the number of cells: behind a mask it is anything but that.
    seen = [arrays_of(r.content, "upload")["vector"][0] for r in replies[:3]]
    assert not set(seen) & {d.n_obs for d in SITES}


def test_a_masked_run_gives_the_same_bits_as_a_plain_one(data, tmp_path, monkeypatch):
    """Sums in the ring are exact: masks that cancel leave no trace."""
    federate(tmp_path / "plain", data, 3)
    monkeypatch.setitem(BACKENDS, "off", Masked)
    Masked.clear()
    federate(tmp_path / "masked", data, 3)
    one, two = (tmp_path / n / "bundle/model.safetensors" for n in ("plain", "masked"))
    assert one.read_bytes() == two.read_bytes()
    # No context was used twice (the backend refuses that), and every sum was revealed by all.
    contexts = {context for _, _, context in Masked.asked}
    assert len(Masked.asked) == len(Masked.masks) == 3 * len(contexts)
    ledger = lines(tmp_path / "masked/ledger.jsonl")
    assert sum(line["phase"] == "reveal" for line in ledger) == 2 * len(Masked.asked)


def test_a_site_lost_before_its_upload_stops_the_run(masked, data, tmp_path):
    federation = federation_of(data, tmp_path, losing("moments", {2}))
    with pytest.raises(SiteFailure, match=r"phase moments failed at node 2: no answer within 0\.2"):
        federation.run(moments())
    assert masked.asked == []
    assert list(run_json(tmp_path)["lost_sites"]) == ["node 2"]


def test_a_site_lost_before_its_upload_is_left_out(masked, data, tmp_path):
    federation = federation_of(
        data, tmp_path, losing("moments", {2}), **{"on-site-error": "continue"}
    )
    summed = federation.run(moments())
    assert (summed.n_sites, summed.count("n_cells")) == (2, SITES[0].n_obs + SITES[2].n_obs)
    np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 2]), rtol=1e-9)
    assert {tuple(survivors) for _, survivors, _ in masked.asked} == {("1", "3")}
    assert federation.node_ids == [1, 3]


def test_a_site_lost_in_the_reveal_stays_in_the_sum(masked, data, tmp_path):
    masked.clear(threshold=2)
    federation = federation_of(
        data, tmp_path, losing("reveal", {1}), **{"on-site-error": "continue"}
    )
    summed = federation.run(moments())
    assert summed.n_sites == 3
    np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 1, 2]), rtol=1e-9)
    assert federation.node_ids == [2, 3]


def test_a_site_lost_in_the_reveal_stops_the_run(masked, data, tmp_path):
    with pytest.raises(SiteFailure, match="phase reveal failed at node 1"):
        federation_of(data, tmp_path, losing("reveal", {1})).run(moments())


def test_too_few_reveals_open_nothing(masked, data, tmp_path):
    masked.clear(threshold=3)
    federation = federation_of(
        data, tmp_path, losing("reveal", {1}), **{"on-site-error": "continue"}
    )
    with pytest.raises(SecureSumError, match="2 of 3 reveals"):
        federation.run(moments())


@pytest.mark.parametrize("kind", ["moments", "reveal"])
def test_fewer_sites_than_min_sites_open_nothing(masked, data, tmp_path, kind):
    settings = {"on-site-error": "continue", "min-sites": 3}
    federation = federation_of(data, tmp_path, losing(kind, {2}), **settings)
    with pytest.raises(SecureSumError, match=rf"phase {kind}: 2 sites .* min-sites is 3.*node 2"):
        federation.run(moments(min_sites=3))
    if kind == "moments":
        assert masked.asked == []


def test_the_strategy_itself_counts_the_uploads(masked):
    strategy = moments(min_sites=3)
    strategy.request(0, [1, 2, 3])
    replies = [upload_of(node_id, np.zeros(2, np.uint64)) for node_id in (1, 2)]
    with pytest.raises(SecureSumError, match="2 sites answered and min-sites is 3"):
        strategy.configure_reveal(replies)
    with pytest.raises(SecureSumError, match="2 sites answered and min-sites is 3"):
        strategy.aggregate(0, replies)
    with pytest.raises(SecureSumError, match="0 sites answered"):
        moments(min_sites=0).aggregate(0, [])


def upload_of(node_id, vector, n_genes=60):
    """A reply of the moments phase with this vector, which says it has so many genes."""
    request = Message(to_record({}, {}), dst_node_id=node_id, message_type="query.moments")
    request.metadata.__dict__["_message_id"] = str(node_id)
    names = ("sum_log", "sum_log_squared", "sum_cp10k", "sum_cp10k_squared")
    shapes = {"n_cells": [], **{name: [n_genes] for name in names}}
    return Message(to_record({"shapes": shapes}, {"upload": {"vector": vector}}), reply_to=request)


N_WORDS = 1 + 60 * (1 + 1 + 2 + 2)


def test_uploads_of_other_shapes_are_refused():
    strategy = moments()
    strategy.request(0, [1, 2])
    words = np.zeros(N_WORDS, np.uint64)
    with pytest.raises(SecureSumError, match=r"different shapes.*same version or the same genes"):
        strategy.aggregate(0, [upload_of(1, words), upload_of(2, words, n_genes=59)])


def test_uploads_of_other_lengths_are_refused():
    strategy = moments()
    strategy.request(0, [1, 2])
    words = np.zeros(N_WORDS, np.uint64)
    with pytest.raises(SecureSumError, match=r"site 2 .* in 360 words, not .* in 361"):
        strategy.aggregate(0, [upload_of(1, words), upload_of(2, words[1:])])


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2]])
@pytest.mark.parametrize("early", [True, False])
def test_the_sum_is_modulo_the_ring_in_any_order(order, early):
    strategy, rng = moments(), np.random.default_rng(0)
    strategy.request(0, [1, 2, 3])
    words = rng.integers(2**64, size=(3, N_WORDS), dtype=np.uint64)
    words[:, 0] = [2**64 - 5, 3, 9]
    replies = [upload_of(node_id, words[node_id - 1]) for node_id in order]
    if early:
        for reply in replies:
            strategy.receive(reply)
    summed = strategy.aggregate(0, replies)
    assert (summed.count("n_cells"), summed.n_sites) == (7, 3)
    total = [sum(column) % 2**64 for column in words.T.tolist()]
    signed = np.array(total, dtype=np.uint64)[1:61].astype(np.int64)
    bits = PHASES["moments"].fields["sum_log"].fixed_point(3).fraction_bits
    np.testing.assert_allclose(summed.values["sum_log"], signed / 2.0**bits)


def test_a_sum_opens_once():
    strategy = moments()
    strategy.request(0, [1])
    reply = upload_of(1, np.ones(N_WORDS, np.uint64))
    assert strategy.aggregate(0, [reply]).count("n_cells") == 1
    with pytest.raises(SecureSumError, match="was opened before"):
        strategy.aggregate(0, [reply])


def test_a_strategy_serves_several_rounds():
    strategy = moments()
    for round_, n in ((1, 3), (2, 5)):
        strategy.request(round_, [1, 2])
        vector = np.full(N_WORDS, n, np.uint64)
        replies = [upload_of(1, vector), upload_of(2, vector)]
        assert strategy.aggregate(round_, replies).count("n_cells") == 2 * n


def test_a_site_uploads_once():
    strategy = moments()
    strategy.request(0, [1, 2])
    strategy.receive(upload_of(1, np.ones(N_WORDS, np.uint64)))
    with pytest.raises(SecureSumError, match="site 1 uploaded twice"):
        strategy.receive(upload_of(1, np.ones(N_WORDS, np.uint64)))


@pytest.mark.parametrize(
    "vector", [np.ones(N_WORDS), np.ones(N_WORDS, np.int64), np.ones((1, N_WORDS), np.uint64)]
)
def test_an_upload_of_anything_but_ring_words_is_refused(vector):
    strategy = moments()
    strategy.request(0, [1])
    with pytest.raises(SecureSumError, match=r"site 1 sent .*, not ring words"):
        strategy.aggregate(0, [upload_of(1, vector)])


def test_a_request_names_its_sum():
    first, second = moments(), moments(attempt=1)
    contexts = [Request(s.request(4, [1, 2])).context for s in (first, second)]
    assert contexts == [SumContext("7", "moments", 4, a, 2) for a in (0, 1)]
    assert values_of(first.request(4, [1, 2]))["round"] == 4


def test_plain_sums_have_no_second_trip(data, tmp_path):
    assert not Off.reveals
    federation = federation_of(data, tmp_path)
    federation.run(moments())
    assert {line["phase"] for line in lines(tmp_path / "ledger.jsonl")} == {"moments"}


def test_the_order_of_replies_does_not_matter(tmp_path):
    """Bit for bit, so that a run repeats whichever site answers first."""
    data = write_sites(tmp_path / "data", [site({("p", "A"): 9 + s}, seed=s) for s in range(3)])

    class Reversed(InProcessGrid):
        def pull_messages(self, message_ids):
            return list(super().pull_messages(message_ids))[::-1]

    results = []
    for number, grid in enumerate((InProcessGrid, Reversed)):
        values = {"data": str(data), "out": str(tmp_path / str(number)), "n-sites": 3}
        config = RunConfig.parse(values, where="test")
        folder = RunFolder(tmp_path / str(number), config, 7)
        results.append(Federation(grid(3, config.flat()), config, folder).run(moments()).values)
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])
