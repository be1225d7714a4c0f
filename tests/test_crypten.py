"""The `crypten` backend: additive shares of real parties, sealed for their owners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import PolicyError, SecureSumError
from common.secure.backend import Parcel, SumContext
from common.secure.crypten import CrypTenBackend, CrypTenSite, add_shares, split
from common.secure.guard import Guard
from common.secure.member import Member
from common.secure.ring import FixedPoint
from common.secure.site_keys import SiteKeys
from tests.small_sites import federate, lines, three_sites, write_sites

N_WORDS = 41


def parties(n, min_sites=2):
    """Sites that have met."""
    sites = {
        f"{i}": CrypTenSite(Member(SiteKeys("7"), f"{i}", "7", Guard(f"site-{i}", min_sites)))
        for i in range(n)
    }
    identities = {name: site.member.identity for name, site in sites.items()}
    for site in sites.values():
        site.member.meet(identities)
    return sites


def context(n, round_=1):
    return SumContext("7", "fit", round_, 0, n)


def shared(site, vector, context, keys):
    site.begin(context, keys)
    return site.upload(vector)


def uploaded(sites, vectors, backend, round_=1):
    keys = backend.request(context(len(sites), round_), list(sites))
    for name, site in sites.items():
        backend.receive(
            name, shared(site, vectors[name], context(len(sites), round_), keys), N_WORDS
        )


def summed(sites, vectors, backend, round_=1):
    uploaded(sites, vectors, backend, round_)
    asked = backend.ask("partial_sums", list(sites), list(sites))
    for name, site in sites.items():
        backend.take("partial_sums", name, site.answer("partial_sums", asked[name]))
    return backend.open(list(sites))


def random_vectors(sites, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(2**64, size=N_WORDS, dtype=np.uint64) for name in sites}


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 8), seed=st.integers(0, 99))
def test_the_sum_is_exact_modulo_the_ring(n, seed):
    sites = parties(n)
    vectors = random_vectors(sites, seed)
    expected = [sum(c) % 2**64 for c in zip(*(v.tolist() for v in vectors.values()), strict=True)]
    backend = CrypTenBackend()
    assert summed(sites, vectors, backend).tolist() == expected
    # The same vectors again are another sum, with other shares.
    assert summed(sites, vectors, backend, round_=2).tolist() == expected


def test_it_equals_the_plain_sum_of_the_values():
    """To 2^-20 relative, negatives among them, where CrypTen's own decoder is off by one."""
    sites, rng = parties(5), np.random.default_rng(1)
    values = {name: rng.normal(0, 1e3, N_WORDS) - 1e4 for name in sites}
    fixed = FixedPoint(2.0**20, 5)
    vectors = {name: fixed.encode(value) for name, value in values.items()}
    decoded = fixed.decode(summed(sites, vectors, CrypTenBackend()), (N_WORDS,))
    np.testing.assert_allclose(decoded, sum(values.values()), rtol=2.0**-20)


def test_shares_show_nothing_until_all_are_added():
    vector = np.zeros(2**16, np.uint64)
    shares, again = split(vector, 4), split(vector, 4)
    assert not add_shares(shares).any()
    for subset in (shares[:3], shares[1:], [shares[3]], shares[:1]):
        counts = np.bincount(add_shares(subset).view(np.uint8), minlength=256)
        expected = 8 * len(vector) / 256
        # 255 degrees of freedom: 380 is far beyond the 1e-6 quantile.
        assert ((counts - expected) ** 2 / expected).sum() < 380
    for one, two in zip(shares, again, strict=True):
        assert (one != two).all()


def test_only_its_owner_opens_a_share():
    sites = parties(3)
    backend = CrypTenBackend()
    uploaded(sites, random_vectors(sites), backend)
    asked = backend.ask("partial_sums", list(sites), list(sites))
    with pytest.raises(SecureSumError, match="does not open"):
        sites["1"].answer("partial_sums", asked["2"])
    changed = {sender: box.copy() for sender, box in asked["1"].arrays.items()}
    changed["0"][40] ^= 1
    with pytest.raises(SecureSumError, match="does not open"):
        sites["1"].answer("partial_sums", Parcel(asked["1"].public, changed))
    longer = {**asked["1"].public, "n_words": N_WORDS + 1}
    with pytest.raises(SecureSumError, match="does not open"):
        sites["1"].answer("partial_sums", Parcel(longer, asked["1"].arrays))


def test_a_site_adds_its_shares_once_and_all_of_them():
    """The difference of two sums of shares would be a share of one site's vector."""
    sites = parties(3)
    backend = CrypTenBackend()
    uploaded(sites, random_vectors(sites), backend)
    asked = backend.ask("partial_sums", list(sites), list(sites))["1"]
    fewer = {sender: box for sender, box in asked.arrays.items() if sender != "2"}
    with pytest.raises(SecureSumError, match=r"needs the shares of 0, 1, 2, and came with .* 0, 1"):
        sites["1"].answer("partial_sums", Parcel(asked.public, fewer))
    sites["1"].answer("partial_sums", asked)
    with pytest.raises(SecureSumError, match="1 has no shares to add"):
        sites["1"].answer("partial_sums", asked)


def test_a_vector_is_shared_once_and_with_the_sites_that_met():
    sites, vector = parties(3), np.zeros(N_WORDS, np.uint64)
    shared(sites["0"], vector, context(3), {"owners": ["0", "1", "2"]})
    with pytest.raises(SecureSumError, match="was asked for twice"):
        shared(sites["0"], vector, context(3), {"owners": ["0", "1", "2"]})
    for owners in (["0", "1", "9"], ["1", "2"], ["0", "0", "1"]):
        with pytest.raises(SecureSumError, match="others than the sites that met"):
            shared(sites["0"], vector, context(len(owners), 2), {"owners": owners})
    strict = parties(2, min_sites=3)["0"]
    with pytest.raises(PolicyError, match="rule min-sites = 3: the sum has 2 sites"):
        shared(strict, vector, context(2), {"owners": ["0", "1"]})


def test_a_lost_site_stops_the_sum():
    sites = parties(3)
    backend = CrypTenBackend()
    uploaded(sites, random_vectors(sites), backend)
    with pytest.raises(SecureSumError, match=r"2 was lost, .* use secure-sum = masked"):
        backend.ask("partial_sums", ["0", "1"], ["0", "1"])
    asked = backend.ask("partial_sums", list(sites), list(sites))
    for name in ("0", "1"):
        backend.take("partial_sums", name, sites[name].answer("partial_sums", asked[name]))
    with pytest.raises(SecureSumError, match=r"2 was lost"):
        backend.open(list(sites))


def test_misshapen_answers_are_refused():
    sites = parties(2)
    backend = CrypTenBackend()
    uploaded(sites, random_vectors(sites), backend)
    for words in ({}, {"partial": np.zeros(3, np.uint64)}, {"partial": np.zeros(N_WORDS)}):
        with pytest.raises(SecureSumError, match="site 1 sent no sum of 41 ring words"):
            backend.take("partial_sums", "1", Parcel({}, words))
    with pytest.raises(SecureSumError, match="without an upload for every site"):
        backend.receive("1", Parcel({}, {"0": np.zeros(1, np.uint8)}), N_WORDS)


def test_a_run_gives_the_same_bits_as_a_plain_one(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    for kind in ("off", "crypten"):
        federate(tmp_path / kind, data, 3, secure_sum=kind)
    one, two = (tmp_path / kind / "bundle/model.safetensors" for kind in ("off", "crypten"))
    assert one.read_bytes() == two.read_bytes()
    logged = lines(tmp_path / "crypten/sites/site-1/outbox.jsonl")
    assert {"identities", "meet", "partial_sums"} < {line["phase"] for line in logged}
    shares = next(line for line in logged if line["phase"] == "partial_sums")["fields"]
    assert [(f["field"], f["visibility"]) for f in shares] == [("partial", "masked")]
    fit = next(line for line in logged if line["phase"] == "fit")["fields"]
    model = next(f for f in fit if f["field"] in ("weights", "update"))
    # A share for each of three sites.
    assert model["bytes"] == 3 * 8 * model["shape"][0]
