"""The plain `off` backend, and which backend a name gives."""

import numpy as np
import pytest

from common.config import RunConfig
from common.errors import ConfigError
from common.secure.backend import Off, SumContext
from common.secure.backends import coordinator_sum, site_sum
from common.secure.masked import MaskedBackend, MaskedSiteSum
from common.secure.masked_site import SiteKeys

CONTEXT = SumContext("run", "moments", 0, 0, 3)
VECTOR = np.arange(9, dtype=np.uint64)


def test_off_sends_the_vector_itself_and_has_nothing_to_reveal():
    off = Off()
    vector, fields = off.upload(VECTOR, CONTEXT, {})
    np.testing.assert_array_equal(vector, VECTOR)
    assert (
        fields == off.reveal({}) == off.request(CONTEXT, ["a"]) == off.reveal_request(["a"]) == {}
    )
    assert not off.reveals
    np.testing.assert_array_equal(off.open(VECTOR, ["a"], {}, CONTEXT), VECTOR)


@pytest.mark.parametrize(
    ("name", "coordinator", "site"), [("off", Off, Off), ("masked", MaskedBackend, MaskedSiteSum)]
)
def test_both_halves_are_of_the_same_kind(name, coordinator, site):
    assert type(coordinator_sum(name, 3)) is coordinator
    assert type(site_sum(name, SiteKeys(), "a", "7", 3)) is site


def test_sums_are_masked_unless_a_run_says_otherwise():
    assert RunConfig().secure_sum == "masked"
    with pytest.raises(ConfigError, match=r"secure-sum = 'of': input should be 'masked' or 'off'"):
        RunConfig.parse({"secure-sum": "of"}, where="settings")
