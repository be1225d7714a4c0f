"""The masked sum: exact over the survivors, closed below the threshold, never opened twice."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import PolicyError, SecureSumError, SyncytiumError
from common.secure.masked_site import RoundKey
from common.secure.site_keys import SiteKeys
from tests.masked_parties import Parties, masked_site


def run(parties, lost_before=0, lost_after=0):
    """A whole sum with the last sites lost before their upload and others before their reveal."""
    survivors = parties.names[: parties.n - lost_before]
    uploads = {name: parties.upload(name) for name in survivors}
    answering = survivors[lost_after:]
    revealed = {name: parties.reveal(name, survivors) for name in answering}
    return parties.open(uploads, revealed).tolist(), parties.expected(survivors)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), n=st.integers(2, 9))
def test_the_sum_is_exact_with_sites_lost_anywhere(data, n):
    parties = Parties(n)
    spare = n - parties.threshold
    before = data.draw(st.integers(0, spare))
    after = data.draw(st.integers(0, spare - before))
    opened, expected = run(parties, before, after)
    assert opened == expected


# Sites, and the share of the losses that come before the upload.
LOSSES = [(n, share) for n in (2, 3, 4, 5, 6, 7, 10, 16) for share in (0.0, 0.5, 1.0)]
LOSSES += [(25, 0.0), (25, 1.0), (50, 0.5)]


@pytest.mark.parametrize(("n", "share"), LOSSES)
def test_the_sum_is_exact_with_as_many_lost_as_may_be(n, share):
    """Before their upload, before or in the reveal, or some of them here and some there."""
    spare = n - Parties(n).threshold
    before = round(share * spare)
    opened, expected = run(Parties(n), before, spare - before)
    assert opened == expected


@pytest.mark.parametrize(("n", "share"), LOSSES)
def test_one_lost_more_opens_nothing(n, share):
    parties = Parties(n)
    lost = n - parties.threshold + 1
    before = round(share * lost)
    with pytest.raises((SecureSumError, PolicyError), match=r"shares of a secret|threshold|sites"):
        run(parties, before, lost - before)


def test_an_upload_shows_nothing_of_its_vector():
    parties = Parties(3, n_words=4096)
    parties.vectors = {name: np.zeros(4096, np.uint64) for name in parties.names}
    uploads = [parties.upload(name) for name in parties.names]
    for upload in uploads:
        counts = np.bincount(upload.view(np.uint8), minlength=256)
        chi_square = ((counts - 128.0) ** 2 / 128.0).sum()
        # 255 degrees of freedom: 380 is far beyond the 1e-6 quantile.
        assert chi_square < 380
    # Neither do two of three together: the pair's masks cancel, the self masks stay.
    for one, two in itertools.combinations(uploads, 2):
        assert len(np.unique(one + two)) == 4096


def test_a_server_that_keeps_everything_opens_one_sum():
    """It has every upload, late ones too, and tells each site any list it likes, in any way.

    The difference of two sums that differ by one site would be that site's vector.
    """
    parties = Parties(4)
    uploads = {name: parties.upload(name) for name in parties.names}
    lists = [names for n in (3, 4) for names in itertools.combinations(parties.names, n)]
    told = [[names for names in lists if name in names] for name in parties.names]
    n_opened = 0
    for choice in itertools.product(*told):
        answers = {}
        for name, first in zip(parties.names, choice, strict=True):
            parties.sites[name].keys.sums[0].survivors = ()
            answers[name] = parties.reveal(name, first)
            for second in lists:
                # Whatever it asks for then, a site sticks to its list.
                with contextlib.suppress(SecureSumError):
                    assert parties.reveal(name, second) == answers[name]
        opened = {}
        for names in lists:
            with contextlib.suppress(SecureSumError):
                opened[names] = parties.open({n: uploads[n] for n in names}, answers).tolist()
        assert all(total == parties.expected(names) for names, total in opened.items())
        singles = {tuple(vector.tolist()) for vector in parties.vectors.values()}
        for one, two in itertools.combinations([*opened.values(), [0] * parties.n_words], 2):
            difference = (np.array(one, np.uint64) - np.array(two, np.uint64)).tolist()
            assert tuple(difference) not in singles
        assert len(opened) <= 1
        n_opened += len(opened)
    # Asked alike, or nearly so, they do open a sum.
    assert n_opened >= len(lists)


def test_sums_follow_each_other_with_keys_of_their_own():
    parties = Parties(4)
    first = {name: parties.upload(name) for name in parties.names}
    revealed = {name: parties.reveal(name, parties.names) for name in parties.names}
    assert parties.open(first, revealed).tolist() == parties.expected(parties.names)
    before = parties.publics()
    parties.offers = parties.offered(1, parties.names)
    assert not set(before.values()) & set(parties.publics().values())
    second = {name: parties.upload(name, number=1) for name in parties.names}
    assert all((first[name] != second[name]).all() for name in parties.names)
    revealed = {name: parties.reveal(name, parties.names, number=1) for name in parties.names}
    assert parties.open(second, revealed).tolist() == parties.expected(parties.names)
    # The first sum's keys are gone.
    with pytest.raises(SecureSumError, match="no keys for sum 0"):
        parties.reveal("site-00", parties.names)


def test_a_mask_covers_one_vector_only():
    parties = Parties(3)
    parties.upload("site-00")
    with pytest.raises(SecureSumError, match="sum 0 was asked for twice"):
        parties.upload("site-00")
    with pytest.raises(SecureSumError, match="keys for sum 0 were asked for, and 1 is next"):
        parties.offered(0, parties.names)
    with pytest.raises(SecureSumError, match="no keys for sum 5: it was restarted"):
        parties.upload("site-01", number=5)


@pytest.mark.parametrize(
    "changed", [{"run": "x"}, {"phase": "moments"}, {"round": 9}, {"attempt": 9}]
)
def test_masks_are_bound_to_their_sum(changed):
    parties = Parties(3)
    other = parties.context(**changed)
    uploads = {name: parties.upload(name) for name in parties.names[:2]}
    name = parties.names[2]
    uploads[name] = parties.upload(name, context=other)
    revealed = {n: parties.reveal(n, parties.names) for n in parties.names}
    assert parties.open(uploads, revealed).tolist() != parties.expected(parties.names)


def changed_keys(parties):
    publics = parties.publics()
    stranger = RoundKey(SiteKeys().agreement.public, b"")
    yield {**publics, "site-00": stranger}, "round key of site-00 is not the one it sent"
    yield {**publics, "site-01": publics["site-02"]}, "two sites have the same round key"
    yield {**publics, "site-01": stranger}, "round key of site-01 is not signed by site-01"
    signature = publics["site-02"].signature
    yield (
        {**publics, "site-01": RoundKey(stranger.public, signature)},
        "round key of site-01 is not signed by site-01",
    )
    old = parties.offered(1, parties.names)["site-01"].round_key
    yield {**publics, "site-01": old}, "round key of site-01 is not signed by site-01"
    yield {n: publics[n] for n in parties.names[1:]} | {"x": stranger}, "other participants"
    yield {n: publics[n] for n in parties.names[:2]}, "min-sites = 3: the sum has 2 sites"


@pytest.mark.parametrize("case", range(7))
def test_keys_that_the_sites_did_not_agree_on_are_refused(case):
    parties = Parties(4, min_sites=3)
    publics, said = list(changed_keys(parties))[case]
    context = parties.context(len(publics))
    with pytest.raises(SyncytiumError, match=said):
        parties.upload("site-00", context=context, keys=publics)


def test_survivors_that_did_not_take_part_are_refused():
    parties = Parties(4)
    with pytest.raises(SecureSumError, match="site-00 uploaded nothing"):
        parties.reveal("site-00", parties.names)
    parties.upload("site-00")
    with pytest.raises(SecureSumError, match="survivors that did not take part"):
        parties.reveal("site-00", (*parties.names[:3], "site-99"))
    with pytest.raises(SecureSumError, match="survivors that did not take part"):
        parties.reveal("site-00", (*parties.names[:3], "site-00"))
    with pytest.raises(SecureSumError, match="uploaded nothing that counts"):
        parties.reveal("site-00", parties.names[1:])
    with pytest.raises(SecureSumError, match="2 sites with a threshold of 3"):
        parties.reveal("site-00", parties.names[:2])


def test_a_changed_or_exchanged_box_does_not_open():
    parties = Parties(3)
    parties.upload("site-00")
    boxes = parties.boxes_for("site-00")
    damaged = bytearray(boxes["site-01"])
    damaged[20] ^= 1
    for wrong in (bytes(damaged), boxes["site-02"], parties.boxes_for("site-01")["site-01"], b""):
        with pytest.raises(SecureSumError, match="does not open"):
            parties.sites["site-00"].reveal(0, parties.names, {**boxes, "site-01": wrong})


@pytest.mark.parametrize("lost", [0, 1])
def test_wrong_shares_are_told_from_right_ones(lost):
    parties = Parties(3)
    survivors = parties.names[: 3 - lost]
    uploads = {name: parties.upload(name) for name in survivors}
    revealed = {name: parties.reveal(name, survivors) for name in survivors}
    target = parties.names[2] if lost else parties.names[1]
    revealed["site-00"][target] = bytes(32)
    with pytest.raises(SecureSumError, match=f"shares of {target}'s .* do not fit"):
        parties.open(uploads, revealed)


def test_identities_are_taken_once():
    sites = [masked_site(name) for name in ("a", "b")]
    identities = {site.name: site.identity for site in sites}
    other = masked_site("x").identity
    with pytest.raises(SecureSumError, match="identity of a is not the one it sent"):
        sites[0].meet({**identities, "a": other})
    for key in ("agreement_key", "run_key", "site"):
        twin = replace(identities["b"], **{key: getattr(identities["a"], key)})
        with pytest.raises(SecureSumError, match=f"same {key.replace('_', ' ')}"):
            sites[0].meet({**identities, "b": twin})
    sites[0].meet(identities)
    with pytest.raises(SecureSumError, match="identities changed within the run"):
        sites[0].meet({**identities, "b": other})


def test_no_key_is_shown():
    parties = Parties(2)
    keys = parties.sites["site-00"].keys
    first = keys.sums[0]
    shown = repr(keys) + repr(first)
    for secret in (
        keys.agreement.private,
        keys.signing.private,
        keys.sums[0].seed,
        keys.sums[0].pair.private,
    ):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
