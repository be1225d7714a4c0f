"""Runs over real sites: what their policies allow, their rosters, and signed lists of survivors."""

import errno
from dataclasses import replace

import pytest

from common.errors import SecureSumError, SiteFailure
from common.secure.identity import Identity
from server import keys as key_exchange
from strategies.records import values_of
from tests.real_sites import pinned_sites, policy_file, real_sites, run
from tests.small_sites import lines

NAMES = ["bern", "chur", "genf", "lugano"]


def refusals(folder, name):
    return [line["refused"] for line in lines(folder / name / "outbox.jsonl") if "refused" in line]


def test_a_pinned_run_with_signed_lists(tmp_path):
    sites = pinned_sites(tmp_path / "s", NAMES, consistency=True)
    done = run(tmp_path / "out", list(sites.values()), consistency=True)
    assert done["status"] == "finished"
    logged = lines(tmp_path / "s" / "bern" / "outbox.jsonl")
    phases = [line["phase"] for line in logged]
    assert phases.count("agree") == phases.count("reveal") == phases.count("moments") * 12
    met = next(line for line in logged if line["phase"] == "offers")
    assert set(met["fingerprints"]) == set(NAMES)
    # Long-term keys are of the site; its log has none of their private halves.
    assert "PRIVATE" not in (tmp_path / "s/bern/outbox.jsonl").read_text()


RULES = [
    ({}, {"min-reference-cells": 5}, "policy rule min-reference-cells = 20"),
    ({"tasks": ["classify"]}, {}, "policy rule tasks = classify"),
    ({"consistency": True}, {}, "policy rule consistency"),
    ({"min-sites": 5}, {}, "policy rule min-sites = 5: the sum has 4 sites"),
    ({"min-sites": 5}, {"secure-sum": "crypten"}, "policy rule min-sites = 5: the sum has 4 sites"),
    ({}, {"secure-sum": "off"}, "policy rule require-masking"),
    ({"largest-message-mb": 0.02}, {}, "policy rule largest-message-mb = 0.02: a message of"),
]


@pytest.mark.parametrize(("rules", "settings", "said"), RULES)
def test_one_sites_policy_holds_whatever_the_run_asks(tmp_path, rules, settings, said):
    sites = real_sites(tmp_path, NAMES)
    sites["genf"]["policy"] = policy_file(tmp_path / "genf.toml", **rules)
    with pytest.raises(SiteFailure) as failed:
        run(tmp_path / "out", list(sites.values()), **settings)
    assert said in str(failed.value)
    (refused,) = refusals(tmp_path, "genf")
    assert refused["kind"] == "PolicyError"
    assert refused["reason"].startswith(said)


def test_a_site_that_is_not_in_the_roster_is_refused_by_all_others(tmp_path):
    sites = pinned_sites(tmp_path / "s", NAMES)
    others = real_sites(tmp_path / "t", ["oslo"])
    with pytest.raises(SiteFailure, match=r"phase offers failed"):
        run(tmp_path / "out", [*sites.values(), *others.values()])
    for name in NAMES:
        (refused,) = refusals(tmp_path / "s", name)
        assert "the keys of oslo for this run are not signed" in refused["reason"]


def test_a_roster_needs_a_key_of_ones_own(tmp_path):
    sites = pinned_sites(tmp_path / "s", NAMES)
    del sites["bern"]["site-key"]
    with pytest.raises(SiteFailure):
        run(tmp_path / "out", list(sites.values()))
    (refused,) = (line for line in lines(tmp_path / "s/bern/outbox.jsonl") if "refused" in line)
    assert "the node config has no site-key" in refused["why"]


def swapped(monkeypatch, change):
    """A coordinator that changes what it passes on of the second site's identity."""
    real = key_exchange.FirstOffers

    def lying(sums, identities):
        second = sorted(identities)[1]
        changed = change(Identity.of(identities[second]))
        return real(sums, {**identities, second: changed.fields()})

    monkeypatch.setattr(key_exchange, "FirstOffers", lying)


def test_a_coordinator_that_swaps_a_key_gets_no_sum(tmp_path, monkeypatch):
    sites = pinned_sites(tmp_path / "s", NAMES)
    stranger = bytes(range(32))
    swapped(monkeypatch, lambda identity: replace(identity, agreement_key=stranger))
    with pytest.raises(SiteFailure, match=r"phase offers failed"):
        run(tmp_path / "out", list(sites.values()))
    for name in NAMES:
        phases = [line["phase"] for line in lines(tmp_path / "s" / name / "outbox.jsonl")]
        assert phases == ["describe", "identities", "offers"]
        assert len(refusals(tmp_path / "s", name)) == 1


def test_a_site_lost_before_it_signed_stops_the_sum(tmp_path):
    sites = real_sites(tmp_path, NAMES)

    def silent(reply):
        lost = reply.metadata.src_node_id == 2 and reply.metadata.message_type == "query.agree"
        return None if lost else reply

    with pytest.raises(SecureSumError, match=r"2 did not sign .* nothing is opened; run again"):
        run(
            tmp_path / "out",
            list(sites.values()),
            tamper=silent,
            consistency=True,
            deadline=2.0,
            **{"on-site-error": "continue"},
        )
    assert not any("reveal" in str(line) for line in lines(tmp_path / "out" / "ledger.jsonl"))


def test_no_key_reaches_the_disk(tmp_path, monkeypatch):
    """Of the keys that a run makes, nothing but public halves is in any file of any site."""
    from client import app
    from common.secure.site_keys import SiteKeys

    secrets, real = set(), SiteKeys.to_bytes

    def spying(keys):
        secrets.update({keys.agreement.private, keys.signing.private})
        secrets.update(own.seed for own in keys.sums.values())
        secrets.update(own.pair.private for own in keys.sums.values())
        return real(keys)

    monkeypatch.setattr(app.SiteKeys, "to_bytes", spying)
    replies = []

    def keep(reply):
        replies.append(str(values_of(reply.content)))
        return reply

    sites = pinned_sites(tmp_path / "s", NAMES)
    run(tmp_path / "out", list(sites.values()), tamper=keep)
    # Per site two of the run, and two of each of its twelve sums and the one after.
    assert len(secrets) == len(NAMES) * (2 + 2 * 13)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    for secret in secrets:
        assert not any(secret in content for content in files)
        assert not any(secret.hex().encode() in content for content in files)
        assert not any(secret.hex() in reply for reply in replies)


def test_a_full_disk_is_told_by_its_name(tmp_path, monkeypatch):
    sites = real_sites(tmp_path, NAMES)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "genf/cache"))

    monkeypatch.setattr("client.site.write_csr", full)
    with pytest.raises(SiteFailure, match=r"cannot be written there: No space left") as failed:
        run(tmp_path / "out", list(sites.values()))
    assert str(tmp_path) not in str(failed.value)
    (refused,) = (line for line in lines(tmp_path / "bern/outbox.jsonl") if "refused" in line)
    assert refused["refused"]["kind"] == "DiskError"
    assert str(tmp_path / "genf/cache") in refused["why"]
