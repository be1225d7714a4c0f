"""The plain `off` backend, and which backend a name gives."""

import numpy as np
import pytest

from common.config import RunConfig
from common.errors import ConfigError, SecureSumError
from common.secure.backend import Parcel, SumContext
from common.secure.by_name import coordinator_sum, site_sum
from common.secure.crypten import CrypTenBackend, CrypTenSite
from common.secure.guard import Guard
from common.secure.masked import MaskedBackend, MaskedSiteSum
from common.secure.off import OffBackend, OffSite
from common.secure.site_keys import SiteKeys

CONTEXT = SumContext("run", "moments", 0, 0, 3)
VECTOR = np.arange(9, dtype=np.uint64)


def test_off_sends_the_vector_itself_and_has_nothing_to_reveal():
    site, coordinator = OffSite(), OffBackend()
    assert coordinator.request(CONTEXT, ["a", "b"]) == {}
    for name in ("a", "b"):
        site.begin(CONTEXT, {})
        parcel = site.upload(VECTOR)
        np.testing.assert_array_equal(parcel.arrays["vector"], VECTOR)
        assert parcel.public == {}
        coordinator.receive(name, parcel, len(VECTOR))
    assert not coordinator.trips
    np.testing.assert_array_equal(coordinator.open(["a", "b"]), 2 * VECTOR)
    with pytest.raises(SecureSumError, match="off has no reveal"):
        site.answer("reveal", Parcel())


@pytest.mark.parametrize(
    ("name", "coordinator", "site"),
    [
        ("off", OffBackend, OffSite),
        ("masked", MaskedBackend, MaskedSiteSum),
        ("crypten", CrypTenBackend, CrypTenSite),
    ],
)
def test_both_halves_are_of_the_same_kind(name, coordinator, site):
    config = RunConfig.parse({"secure-sum": name}, where="test")
    assert type(coordinator_sum(config)) is coordinator
    assert type(site_sum(config, SiteKeys(), "1", "7", Guard("a"))) is site
    assert coordinator.masks == site.masks == (name != "off")


def test_sums_are_masked_unless_a_run_says_otherwise():
    assert RunConfig().secure_sum == "masked"
    with pytest.raises(ConfigError, match=r"secure-sum = 'of': .* 'masked', 'crypten' or 'off'"):
        RunConfig.parse({"secure-sum": "of"}, where="settings")
