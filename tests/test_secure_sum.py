"""SecureSum over a backend of two trips: upload, reveal, open; lost sites; uploads that misfit."""

from dataclasses import replace

import anndata
import numpy as np
import pytest
from flwr.app import Message

from common.config import RunConfig
from common.errors import SecureSumError, SiteFailure
from common.secure.backend import Parcel, SumContext
from common.secure.masked import MaskedBackend
from common.secure.off import OffBackend
from common.wire import PHASES
from server.federation import Federation
from server.runs import RunFolder
from strategies.keys import FirstOffers, Identities
from strategies.records import Request, arrays_of, to_record, values_of
from strategies.secure_sum import SecureSum
from tests.in_process import InProcessGrid
from tests.small_sites import federate, lines, run_json, site, three_sites, write_sites

VOCABULARY = [f"G{i}" for i in range(60)]
SITES = three_sites()
SUMS = np.array([np.asarray(data.X.sum(axis=0)).ravel() for data in SITES])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("sums") / "data", SITES)


@pytest.fixture(autouse=True)
def moments_any_number_of_times(monkeypatch):
    """A run needs them once, and a site refuses more."""
    monkeypatch.setitem(PHASES, "moments", replace(PHASES["moments"], times=9))


def federation_of(data, out, tamper=lambda reply: reply, **settings):
    values = {"data": str(data), "out": str(out), "n-sites": 3, "deadline": 0.2, "min-sites": 1}
    config = RunConfig.parse({**values, "secure-sum": "off", **settings}, where="test")
    return Federation(InProcessGrid(3, config.flat(), tamper), config, RunFolder(out, config, 7))


def masked_federation(data, out, tamper=lambda reply: reply, min_sites=2, **settings):
    """A federation whose sites have exchanged keys, and the coordinator's half of its sums."""
    settings = {"secure-sum": "masked", "min-sites": min_sites, **settings}
    federation = federation_of(data, out, tamper, **settings)
    sums = MaskedBackend(min_sites)
    # Bound into every mask, as a workflow does it.
    sums.settings = federation.config.digest()
    federation.run(FirstOffers(sums, federation.run(Identities())))
    return federation, sums


def moments(sums=None, min_sites=1, **content):
    return SecureSum(
        "moments",
        backend=sums or OffBackend(),
        settings=getattr(sums, "settings", ""),
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


def phases(out):
    """What the coordinator asked for, in its order."""
    asked = [line["phase"] for line in lines(out / "ledger.jsonl") if line["from"] == "coordinator"]
    return list(dict.fromkeys(asked))


def test_upload_reveal_open(data, tmp_path):
    replies = []

    def keep(reply):
        replies.append(reply)
        return reply

    federation, sums = masked_federation(data, tmp_path, keep)
    summed = federation.run(moments(sums))
    assert summed.n_sites == 3
    assert summed.count("n_cells") == sum(d.n_obs for d in SITES)
    np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 1, 2]), rtol=1e-9)
    assert phases(tmp_path) == ["identities", "offers", "moments", "reveal"]
    # The first word is the number of cells: behind a mask it is anything but that.
    seen = [
        arrays_of(r.content, "upload")["vector"][0]
        for r in replies
        if r.metadata.message_type == "query.moments"
    ]
    assert len(seen) == 3
    assert not set(seen) & {d.n_obs for d in SITES}


def test_a_masked_run_gives_the_same_bits_as_a_plain_one(data, tmp_path):
    """Sums in the ring are exact: masks that cancel leave no trace."""
    federate(tmp_path / "plain", data, 3, secure_sum="off")
    federate(tmp_path / "masked", data, 3)
    one, two = (tmp_path / n / "bundle/model.safetensors" for n in ("plain", "masked"))
    assert one.read_bytes() == two.read_bytes()
    n_sums = sum(line["masked"] for line in lines(tmp_path / "masked/ledger.jsonl")) // 3
    ledger = lines(tmp_path / "masked/ledger.jsonl")
    assert sum(line["phase"] == "reveal" for line in ledger) == 6 * n_sums
    for name in ("site-1", "site-2", "site-3"):
        one, two = (
            anndata.read_h5ad(tmp_path / n / "sites" / name / "corrected.h5ad")
            for n in ("plain", "masked")
        )
        np.testing.assert_array_equal(one.obsm["decoded"], two.obsm["decoded"])


def test_a_site_lost_before_its_upload_stops_the_run(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path, losing("moments", {2}))
    with pytest.raises(SiteFailure, match=r"phase moments failed at node 2: no answer within 0\.2"):
        federation.run(moments(sums))
    assert "reveal" not in phases(tmp_path)
    assert list(run_json(tmp_path)["lost_sites"]) == ["node 2"]


CONTINUE = {"on-site-error": "continue"}


def test_a_site_lost_before_its_upload_is_left_out(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path, losing("moments", {2}), **CONTINUE)
    for attempt in (0, 1):
        # The second sum is over the two that are left, with the keys they sent with the first.
        summed = federation.run(moments(sums, attempt=attempt))
        assert (summed.n_sites, summed.count("n_cells")) == (2, SITES[0].n_obs + SITES[2].n_obs)
        np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 2]), rtol=1e-9)
    assert federation.node_ids == [1, 3]


def test_a_site_lost_in_the_reveal_stays_in_the_sum(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path, losing("reveal", {1}), **CONTINUE)
    summed = federation.run(moments(sums))
    assert summed.n_sites == 3
    np.testing.assert_allclose(summed.values["sum_log"], log_sums([0, 1, 2]), rtol=1e-9)
    assert federation.node_ids == [2, 3]


def test_a_site_lost_in_the_reveal_stops_the_run(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path, losing("reveal", {1}))
    with pytest.raises(SiteFailure, match="phase reveal failed at node 1"):
        federation.run(moments(sums))


@pytest.mark.parametrize("kind", ["moments", "reveal"])
def test_fewer_sites_than_min_sites_open_nothing(data, tmp_path, kind):
    federation, sums = masked_federation(data, tmp_path, losing(kind, {2}), min_sites=3, **CONTINUE)
    with pytest.raises(SecureSumError, match=rf"phase {kind}: 2 sites .* min-sites is 3.*node 2"):
        federation.run(moments(sums, min_sites=3))
    assert ("reveal" in phases(tmp_path)) == (kind == "reveal")


def test_a_site_without_its_keys_is_told_to_run_again(data, tmp_path):
    """As after a restart of a real node in the middle of a run."""
    federation, sums = masked_federation(data, tmp_path)
    federation.grid.states.pop(2)
    with pytest.raises(SiteFailure, match=r"2 has no keys for sum 0: it was restarted"):
        federation.run(moments(sums))


def test_a_replayed_request_gets_no_second_upload(data, tmp_path):
    federation, sums = masked_federation(data, tmp_path)
    strategy = moments(sums)
    request = strategy.request(0, federation.node_ids)
    for again in (False, True):
        messages = strategy.messages(request, federation.node_ids)
        if again:
            with pytest.raises(SiteFailure, match="sum 0 was asked for twice"):
                federation._exchange(messages)
        else:
            federation._exchange(messages)


class Revealing(OffBackend):
    """Plain sums with a second trip."""

    trips = ("reveal",)

    def ask(self, trip, survivors, left):
        return {site: Parcel({"survivors": survivors}) for site in left}


def test_the_strategy_itself_counts_the_uploads():
    strategy = moments(Revealing(), min_sites=3)
    strategy.request(0, [1, 2, 3])
    replies = [upload_of(node_id, np.zeros(N_WORDS, np.uint64)) for node_id in (1, 2)]
    with pytest.raises(SecureSumError, match="2 sites answered and min-sites is 3"):
        strategy.follow_up(replies)
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
    values = {"shapes": shapes, "public": {}}
    return Message(to_record(values, {"upload": {"vector": vector}}), reply_to=request)


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
    with pytest.raises(SecureSumError, match=r"site 2 sent uint64 \(360,\), not 361 ring words"):
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
    with pytest.raises(SecureSumError, match=r"site 1 sent .*, not 361 ring words"):
        strategy.aggregate(0, [upload_of(1, vector)])


def test_an_answer_without_an_upload_is_refused():
    strategy = moments()
    strategy.request(0, [1])
    reply = upload_of(1, np.ones(N_WORDS, np.uint64))
    del reply.content["upload"]
    with pytest.raises(SecureSumError, match="site 1 answered without an upload"):
        strategy.aggregate(0, [reply])


def test_a_request_names_its_sum():
    first, second = moments(), moments(attempt=1)
    contexts = [Request(s.request(4, [1, 2])).context("") for s in (first, second)]
    named = [replace(context, content="") for context in contexts]
    assert named == [SumContext("7", "moments", 4, a, 2) for a in (0, 1)]
    # Both sides make the same hash of what is asked.
    assert [s._context for s in (first, second)] == contexts
    assert values_of(first.request(4, [1, 2]))["round"] == 4


def test_plain_sums_have_no_second_trip(data, tmp_path):
    assert not OffBackend.trips
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
        values["secure-sum"] = "off"
        config = RunConfig.parse(values, where="test")
        folder = RunFolder(tmp_path / str(number), config, 7)
        results.append(Federation(grid(3, config.flat()), config, folder).run(moments()).values)
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])
