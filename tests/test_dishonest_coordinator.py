"""A coordinator that exchanges keys, or names different survivors to different sites."""

from dataclasses import replace

import pytest

from common.errors import PolicyError, SecureSumError
from common.secure.guard import Guard
from common.secure.identity import Identity
from common.secure.masked_site import MaskedSite
from common.secure.signing import SigningKey
from common.secure.site_keys import SiteKeys
from tests.masked_parties import RUN, Parties

SITE_KEYS = {name: SigningKey.fresh() for name in ("bern", "genf", "chur")}
ROSTER = {name: key.public.hex() for name, key in SITE_KEYS.items()}


def pinned(name="bern", number="1", roster=ROSTER, run=RUN):
    """A site that knows its peers by their long-term keys."""
    guard = Guard(name, min_sites=3, roster=roster, site_key=SITE_KEYS.get(name))
    return MaskedSite(SiteKeys(), number, run, guard)


@pytest.fixture
def met():
    """A pinned site, and the identities of three."""
    sites = [pinned(name, str(i)) for i, name in enumerate(ROSTER, start=1)]
    return sites[0], {site.name: site.identity for site in sites}


def test_sites_of_the_roster_meet(met):
    site, identities = met
    site.meet(identities)
    assert set(site.fingerprints()) == set(ROSTER)


@pytest.mark.parametrize("key", ["agreement_key", "run_key"])
def test_an_exchanged_key_is_refused(met, key):
    site, identities = met
    swapped = replace(identities["2"], **{key: getattr(pinned().identity, key)})
    with pytest.raises(SecureSumError, match="keys of genf for this run are not signed"):
        site.meet({**identities, "2": swapped})
    assert not site.keys.peers


def test_an_exchanged_site_is_refused(met):
    """The coordinator signs with a long-term key of its own."""
    site, identities = met
    keys, own = SiteKeys(), SigningKey.fresh()
    public = (keys.agreement.public, keys.signing.public)
    forged = Identity.signed_by(own, "genf", *public, RUN, "2")
    with pytest.raises(PolicyError, match=r"rule roster: 'genf' .* is with another key"):
        site.meet({**identities, "2": forged})
    stranger = Identity.signed_by(own, "oslo", *public, RUN, "2")
    with pytest.raises(PolicyError, match=r"rule roster: 'oslo' .* is not in it"):
        site.meet({**identities, "2": stranger})
    unsigned = Identity("genf", *public)
    with pytest.raises(SecureSumError, match=r"keys of genf .* has no site-key"):
        site.meet({**identities, "2": unsigned})


def test_a_site_of_the_roster_cannot_be_there_twice(met):
    site, identities = met
    with pytest.raises(SecureSumError, match="two sites have the same"):
        site.meet({**identities, "4": identities["2"]})


def test_an_identity_of_another_run_or_place_is_refused(met):
    site, identities = met
    for other in (pinned("genf", "2", run="6"), pinned("genf", "3")):
        with pytest.raises(SecureSumError, match="keys of genf for this run are not signed"):
            site.meet({**identities, "2": other.identity})


def test_a_signature_counts_without_a_roster_too(met):
    _, identities = met
    free = MaskedSite(SiteKeys(), "4", RUN, Guard("oslo"))
    identities["4"] = free.identity
    broken = replace(identities["2"], run_key=identities["1"].agreement_key)
    with pytest.raises(SecureSumError, match="keys of genf for this run are not signed"):
        free.meet({**identities, "2": broken})
    free.meet(identities)


def two_lists(parties, colluding):
    """The target's vector, if a server that tells two lists gets it.

    Half of the honest sites are told that all survived, the others that the target did not.
    ``colluding`` sites tell the server all they know.
    """
    names = parties.names
    target, accomplices = names[0], names[len(names) - colluding :]
    honest = [name for name in names if name not in (target, *accomplices)]
    lists = {"with": names, "without": names[1:]}
    told = {"with": [target, *honest[1::2]], "without": honest[::2]}
    uploads = {name: parties.upload(name) for name in names}
    signatures, shares = {}, {}
    for which, survivors in lists.items():
        signatures[which] = {name: parties.agree(name, survivors) for name in told[which]}
        for name in accomplices:
            signatures[which][name] = forget(parties, name).agree(0, survivors)
    for which, survivors in lists.items():
        shares[which] = {
            name: parties.reveal(name, survivors, signatures=signatures[which])
            for name in told[which]
        }
        for name in accomplices:
            site = forget(parties, name)
            # It reveals whatever the signatures.
            site.guard = Guard(site.guard.site)
            shares[which][name] = site.reveal(0, survivors, parties.boxes_for(name))
    whole = parties.open(uploads, shares["with"])
    rest = parties.open({name: uploads[name] for name in names[1:]}, shares["without"])
    return whole - rest


def forget(parties, name):
    """An accomplice without a memory of the list that it named before."""
    site = parties.sites[name]
    site.keys.sums[0].survivors = ()
    return site


def test_two_lists_and_an_accomplice_show_a_site_without_consistency():
    """The attack that consistency is for: more than half of the sites, one of them dishonest."""
    parties = Parties(7)
    assert two_lists(parties, colluding=1).tolist() == parties.vectors["site-00"].tolist()


@pytest.mark.parametrize(("n", "colluding"), [(7, 1), (7, 3), (7, 4), (4, 2), (10, 6)])
def test_with_consistency_two_lists_open_nothing(n, colluding):
    """While fewer than the threshold collude and one honest site is in both lists."""
    parties = Parties(n, consistency=True)
    with pytest.raises(SecureSumError, match="did not sign that the survivors are"):
        two_lists(parties, colluding)


def test_with_consistency_no_share_leaves_without_every_signature():
    parties = Parties(4, consistency=True)
    for name in parties.names:
        parties.upload(name)
    signatures = {name: parties.agree(name, parties.names) for name in parties.names}
    with pytest.raises(SecureSumError, match="site-01 did not sign"):
        parties.reveal(
            "site-00", parties.names, signatures={**signatures, "site-01": signatures["site-02"]}
        )
    with pytest.raises(SecureSumError, match="site-00, site-01, site-02, site-03 did not sign"):
        parties.reveal("site-00", parties.names)
    with pytest.raises(SecureSumError, match=r"survivors were .* and are now"):
        parties.agree("site-00", parties.names[:3])
    assert parties.reveal("site-00", parties.names, signatures=signatures)


def test_with_consistency_a_low_threshold_is_refused():
    parties = Parties(7, consistency=True)
    assert parties.threshold == 5
    with pytest.raises(SecureSumError, match=r"threshold of 4 of 7, .* from 5 to"):
        parties.sites["site-00"].offer(1, parties.names, 4)


def test_with_consistency_the_sum_is_exact():
    parties = Parties(7, consistency=True)
    survivors = parties.names[:6]
    uploads = {name: parties.upload(name) for name in survivors}
    signatures = {name: parties.agree(name, survivors) for name in survivors}
    revealed = {
        name: parties.reveal(name, survivors, signatures=signatures) for name in survivors[:5]
    }
    assert parties.open(uploads, revealed).tolist() == parties.expected(survivors)
