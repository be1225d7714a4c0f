"""Every byte that the sites of a whole `correct` run send: what it shows of their cells.

The plaintext of a masked upload is what the same site uploads in a run without masks: the two runs
are the same bit for bit. The tests are run on the unmasked run as well, where they must find it.
"""

import numpy as np
import pytest

from common.wire import OFFER, PHASES, THERMOMETER_BASE
from common.wire_fields import Public
from strategies.records import arrays_of, values_of
from tests.small_sites import OPTIONAL, federate, three_sites, write_sites

# Of chi-square with 255 degrees of freedom: exceeded once in a million.
UNIFORM = 377.0


class Captured:
    """What the sites sent in one run."""

    def __init__(self, out, data, **settings):
        self.uploads: dict[tuple[str, int, int], np.ndarray] = {}
        self.public: list[tuple[str, dict]] = []
        federate(out, data, 3, tamper=self._keep, **settings)

    def _keep(self, reply):
        phase, site = reply.metadata.message_type.partition(".")[2], reply.metadata.src_node_id
        self.public.append((phase, values_of(reply.content)["public"]))
        vector = arrays_of(reply.content, "upload").get("vector")
        if vector is not None:
            number = sum(key[:2] == (phase, site) for key in self.uploads)
            self.uploads[phase, site, number] = np.array(vector)
        return reply

    def words(self):
        """All uploads, one after the other."""
        return np.concatenate([self.uploads[key] for key in sorted(self.uploads)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaks")
    data = write_sites(folder / "data", three_sites())
    return {
        name: Captured(folder / name, data, secure_sum=kind)
        for name, kind in (("masked", "masked"), ("again", "masked"), ("plain", "off"))
    }


def plaintext(key, words):
    """What an upload hides; of a thermometer, which is random itself, how far it is filled."""
    values = words.view(np.int64).astype(np.float64)
    if key[0] == "peaks":
        n_slots = len(words) // (THERMOMETER_BASE + 1) * THERMOMETER_BASE
        values[:n_slots] = values[:n_slots] != 0
    return standard(values)


def standard(values):
    """Each upload counts alike, whatever its units."""
    values = values - values.mean()
    return values / (values.std() or 1.0)


def chi_square(words):
    """Of the bytes of some words against the uniform distribution."""
    counts = np.bincount(words.view(np.uint8), minlength=256)
    expected = 8 * len(words) / 256
    return float(((counts - expected) ** 2 / expected).sum())


def correlation(sent, plain):
    """Pearson's over all uploads, of words as signed numbers with the plaintext; and 4/sqrt(n)."""
    one, two = [], []
    for key, words in plain.items():
        one.append(standard(sent[key].view(np.int64).astype(np.float64)))
        two.append(plaintext(key, words))
    one, two = np.concatenate(one), np.concatenate(two)
    return abs(float(np.corrcoef(one, two)[0, 1])), 4 / np.sqrt(len(one))


def test_masked_uploads_are_uniform(runs):
    assert len(runs["masked"].words()) > 35_000
    assert chi_square(runs["masked"].words()) < UNIFORM
    assert chi_square(runs["plain"].words()) > 100 * UNIFORM


def test_every_single_masked_upload_is_uniform(runs):
    """None of them is spared, whatever its phase."""
    uploads = runs["masked"].uploads
    assert {key[0] for key in uploads} == {
        name for name, phase in PHASES.items() if phase.masked() and name not in OPTIONAL
    }
    long = {key: words for key, words in uploads.items() if len(words) >= 200}
    assert len(long) > len(uploads) / 2
    for words in long.values():
        assert chi_square(words) < UNIFORM + 60
    found = [chi_square(runs["plain"].uploads[key]) > UNIFORM + 60 for key in long]
    assert all(found)
    # A few words are too few to count bytes: none of them is small, as plain counts are.
    short = [words for key, words in uploads.items() if key not in long]
    plain = [words for key, words in runs["plain"].uploads.items() if key not in long]
    for words in short:
        assert (np.minimum(words, -words) > 2**32).all()
    assert any((np.minimum(words, -words) <= 2**32).any() for words in plain)


def test_masked_uploads_are_uncorrelated_with_what_they_hide(runs):
    masked, plain = runs["masked"].uploads, runs["plain"].uploads
    found, limit = correlation(masked, plain)
    assert found < limit
    found, limit = correlation(plain, plain)
    assert found > 10 * limit


def test_two_runs_on_the_same_cells_have_no_word_in_common(runs):
    one, two, plain = (runs[name].words() for name in ("masked", "again", "plain"))
    assert not (one == two).any()
    assert not (one == plain).any()
    # Without masks all of it is the same, but for the thermometers.
    assert not set(one.tolist()) & set(two.tolist())


def test_two_unmasked_runs_are_found_to_be_the_same(runs, tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    again = Captured(tmp_path / "out", data, secure_sum="off")
    for key, words in runs["plain"].uploads.items():
        # What the runs took is never the same.
        if key[0] not in ("peaks", "energy"):
            np.testing.assert_array_equal(words, again.uploads[key])


def test_what_is_public_is_declared_and_the_same_whatever_is_masked(runs):
    """Names and versions are all that an unmasked and a masked run have in common."""
    keys = set(OFFER)
    for name in ("masked", "again", "plain"):
        for phase, public in runs[name].public:
            fields = PHASES[phase].fields
            declared = {n for n, field in fields.items() if isinstance(field, Public)} | keys
            assert set(public) <= declared
    described = [
        [public for phase, public in runs[name].public if phase == "describe"] for name in runs
    ]
    assert described[0] == described[1] == described[2]
    # Key material is fresh in every run.
    one, two = (
        {
            value
            for phase, public in runs[name].public
            # A hash of what the coordinator sent it.
            if phase != "fixed_values"
            for value in public.values()
            if _is_key(value)
        }
        for name in ("masked", "again")
    )
    assert len(one) > 30
    assert not one & two


def _is_key(value):
    return isinstance(value, str) and len(value) >= 64 and set(value) <= set("0123456789abcdef")
