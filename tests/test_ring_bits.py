"""A run with ring-bits = 32: half the upload, the corrected cells but for coarser steps."""

from dataclasses import replace

import anndata
import numpy as np
import pytest

from strategies.records import arrays_of
from tests.masked_parties import Parties
from tests.small_sites import federate, lines, run_json, three_sites, write_sites

# Of a matrix's spread. Steps of 2^-22 in each of 3 rounds were seen to make 1e-5 of it.
TOLERANCE = 1e-4
SETTINGS = {"hidden": "64", "rounds": 3, "output": "both"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, uploads = tmp_path_factory.mktemp("ring"), []
    data = write_sites(folder / "data", three_sites())

    def keep(reply):
        if reply.metadata.message_type == "train.fit":
            uploads.append(arrays_of(reply.content, "upload")["vector"].nbytes)
        return reply

    for bits in (64, 32):
        federate(folder / str(bits), data, 3, ring_bits=bits, tamper=keep, **SETTINGS)
    return folder, uploads


def test_an_upload_is_as_large_as_float32(runs):
    folder, uploads = runs
    n_bytes = 4 * run_json(folder / "32")["n_exchanged"]
    assert len(uploads) == 2 * 3 * 3
    assert max(uploads[9:]) <= 1.05 * n_bytes
    assert min(uploads[:9]) >= 2 * n_bytes


@pytest.mark.parametrize(("bits", "dtype", "size"), [(64, "uint64", 8), (32, "int32", 4)])
def test_the_log_has_the_bytes_that_were_sent(runs, bits, dtype, size):
    folder, uploads = runs
    log = lines(folder / str(bits) / "sites/site-2/outbox.jsonl")
    fits = [line for line in log if line["phase"] == "fit"]
    assert len(fits) == 3
    for line in fits:
        summed = {f["field"]: f for f in line["fields"] if f["visibility"] == "masked"}
        update = summed["update"]
        assert update["dtype"] == dtype
        n_values = update["shape"][0]
        assert update["bytes"] == size * (n_values + (n_values % 2 if bits == 32 else 0))
        assert sum(f["bytes"] for f in summed.values()) in uploads


def test_the_corrected_cells_are_those_of_64_bits(runs):
    folder, _ = runs
    moved = 0.0
    for name in ("site-1", "site-2", "site-3"):
        wide, narrow = (
            anndata.read_h5ad(folder / bits / f"sites/{name}/corrected.h5ad")
            for bits in ("64", "32")
        )
        for key in ("decoded", "residual", "X_latent_corrected"):
            spread = wide.obsm[key].std()
            difference = np.abs(wide.obsm[key] - narrow.obsm[key]).max()
            assert difference <= TOLERANCE * spread, key
            moved = max(moved, difference)
    # Another format was in fact used.
    assert moved > 0


def test_masks_of_another_width_do_not_cancel():
    parties = Parties(3)
    uploads = {name: parties.upload(name) for name in parties.names[:2]}
    name, other = parties.names[2], replace(parties.context(), ring_bits=32)
    uploads[name] = parties.upload(name, context=other)
    revealed = {n: parties.reveal(n, parties.names) for n in parties.names}
    assert parties.open(uploads, revealed).tolist() != parties.expected(parties.names)
