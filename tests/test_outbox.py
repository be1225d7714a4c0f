"""Nothing leaves a site but what common/wire.py declares, and all of it is in the site's log."""

import json

import numpy as np
import pytest

from client.outbox import Outbox
from common.errors import RingError, SiteFailure, WireError
from common.secure.backend import SumContext
from common.secure.off import OffSite
from common.wire import OFFER, PHASES
from common.wire_fields import Masked, Public
from strategies.records import arrays_of, values_of
from tests.small_sites import OPTIONAL, federate, lines, three_sites, write_sites

CONTEXT = SumContext("7", "latents", 3, 0, 2)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "site" / "outbox.jsonl"


def filled(log):
    outbox = Outbox("latents", log)
    outbox.masked("latent_products", np.zeros((0, 0)))
    outbox.masked("latent_residual", np.array([[-0.25]]))
    outbox.masked("n_holders", [1, 0])
    outbox.masked("mean_latent", np.array([[0.5, -2.0, 4.0], [0, 0, 0]]))
    outbox.masked("n_large", np.zeros(0))
    outbox.masked("covariance", np.zeros((0, 0)))
    return outbox


def test_a_reply_and_its_line(log):
    values, arrays = filled(log).seal(OffSite(), CONTEXT)
    shapes = {
        "latent_products": (0, 0),
        "latent_residual": (1, 1),
        "n_holders": (2,),
        "mean_latent": (2, 3),
        "n_large": (0,),
        "covariance": (0, 0),
    }
    assert values == {"public": {}, "shapes": shapes}
    vector = arrays.pop("upload")["vector"]
    assert arrays == {}
    assert vector[1:3].tolist() == [1, 0]
    assert vector[:1].view(np.int64) / 2.0**37 == -0.25
    np.testing.assert_allclose(vector[3:].view(np.int64) / 2.0**40, [0.5, -2, 4, 0, 0, 0])
    (line,) = lines(log)
    assert (line["phase"], line["round"]) == ("latents", 3)
    assert [(f["field"], f["visibility"], f["shape"], f["bytes"]) for f in line["fields"]] == [
        ("latent_products", "unmasked", [0, 0], 0),
        ("latent_residual", "unmasked", [1, 1], 8),
        ("n_holders", "unmasked", [2], 16),
        ("mean_latent", "unmasked", [2, 3], 48),
        ("n_large", "unmasked", [0], 0),
        ("covariance", "unmasked", [0, 0], 0),
    ]
    assert sum(f["bytes"] for f in line["fields"]) == vector.nbytes


def test_lines_are_added(log):
    for _ in range(3):
        filled(log).seal(OffSite(), CONTEXT)
    assert len(lines(log)) == 3


@pytest.mark.parametrize("send", ["public", "masked"])
def test_an_undeclared_field_does_not_leave(log, send):
    outbox = filled(log)
    with pytest.raises(WireError, match=r"latents\.counts is undeclared in common/wire\.py"):
        getattr(outbox, send)("counts", [1, 2])
    assert not log.exists()


def test_a_masked_field_does_not_leave_as_public(log):
    outbox = filled(log)
    with pytest.raises(WireError, match=r"latents\.mean_latent is declared as Masked"):
        outbox.public("mean_latent", [1.0])
    assert not log.exists()


def test_a_public_field_is_not_summed(log):
    with pytest.raises(WireError, match=r"describe\.genes is declared as Public"):
        Outbox("describe", log).masked("genes", 1.0)


@pytest.mark.parametrize("phase", PHASES)
def test_a_missing_field_stops_the_reply(log, phase):
    with pytest.raises(WireError, match=f"phase {phase} did not fill") as caught:
        Outbox(phase, log).seal(OffSite(), CONTEXT)
    assert all(repr(name) in str(caught.value) for name in PHASES[phase].fields)
    assert not log.exists()


def test_a_value_out_of_range_stops_the_reply(log):
    outbox = filled(log)
    outbox.masked("mean_latent", np.full((2, 3), np.nan))
    with pytest.raises(RingError, match="not finite"):
        outbox.seal(OffSite(), CONTEXT)
    assert not log.exists()


def test_ring_elements_must_be_ring_elements(log):
    outbox = Outbox("peaks", log)
    outbox.masked("n_batches", [1])
    outbox.masked("thermometer", np.ones((1, 1024)))
    with pytest.raises(WireError, match="thermometer must be uint64"):
        outbox.seal(OffSite(), CONTEXT)
    assert not log.exists()


def test_an_unknown_phase(log):
    with pytest.raises(WireError, match=r"unknown phase 'latent': did you mean 'latents'"):
        Outbox("latent", log)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, replies = tmp_path_factory.mktemp("outbox"), []

    def keep(reply):
        replies.append(reply)
        return reply

    federate(folder / "out", write_sites(folder / "data", three_sites()), 3, tamper=keep)
    return folder / "out", replies


def test_every_phase_is_seen(run):
    seen = [reply.metadata.message_type.partition(".")[2] for reply in run[1]]
    assert set(seen) == set(PHASES) - OPTIONAL
    sums = [phase for phase in seen if PHASES[phase].masked()]
    # Two rounds of fit, two digits of peaks, one of everything else, and each sum is opened.
    summed = [n for n, phase in PHASES.items() if phase.masked() and n not in OPTIONAL]
    assert len(sums) == 3 * (len(summed) + 2)
    assert seen.count("reveal") == len(sums)
    assert len(seen) == 2 * len(sums) + 3 * len(
        ("identities", "offers", "describe", "fixed_values")
    )


def test_every_value_and_array_is_declared(run):
    for reply in run[1]:
        content = reply.content
        phase = PHASES[reply.metadata.message_type.partition(".")[2]]
        public = {n for n, field in phase.fields.items() if isinstance(field, Public)}
        public |= set(OFFER if phase.masked() else ())
        masked = {n: field for n, field in phase.fields.items() if isinstance(field, Masked)}
        assert not content.metric_records
        assert not content.config_records
        assert set(content) == set(content.array_records) == {"json", *["upload"][: len(masked)]}
        assert set(content["json"]) == {"json"}
        values = values_of(content)
        assert set(values) == {"public", *["shapes"][: len(masked)]}
        assert set(values["public"]) == public
        if not masked:
            continue
        assert list(values["shapes"]) == list(masked)
        arrays = arrays_of(content, "upload")
        assert set(arrays) == {"vector"}
        words = sum(
            int(np.prod(values["shapes"][name])) * (2 if field.wide else 1)
            for name, field in masked.items()
        )
        assert arrays["vector"].shape == (words,)
        assert arrays["vector"].dtype == np.uint64


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_log_lists_everything_that_left(run, number):
    out, replies = run
    mine = [reply for reply in replies if reply.metadata.src_node_id == number]
    logged = lines(out / f"sites/site-{number}/outbox.jsonl")
    assert len(logged) == len(mine)
    for line, reply in zip(logged, mine, strict=True):
        assert line["phase"] == reply.metadata.message_type.partition(".")[2]
        values = values_of(reply.content)
        public = {f["field"]: f["bytes"] for f in line["fields"] if f["visibility"] == "public"}
        assert public == {n: len(json.dumps(v)) for n, v in values["public"].items()}
        assert all({"shape", "dtype"} < set(f) for f in line["fields"])
        summed = {f["field"]: f for f in line["fields"] if f["visibility"] == "masked"}
        assert {n: f["shape"] for n, f in summed.items()} == values.get("shapes", {})
        upload = arrays_of(reply.content, "upload")
        sent = sum(array.nbytes for array in upload.values())
        assert sum(f["bytes"] for f in summed.values()) == sent
    fits = [line["round"] for line in logged if line["phase"] == "fit"]
    assert fits == [1, 2]


def test_public_values_hold_no_number_of_cells(run):
    """Names and versions only: strings, and lists and tables of them."""

    def strings(value):
        if isinstance(value, dict):
            value = [*value, *value.values()]
        return isinstance(value, str) or (
            isinstance(value, list) and all(strings(part) for part in value)
        )

    for reply in run[1]:
        assert strings(values_of(reply.content)["public"])


def refuses(reply) -> bool:
    return "error" in values_of(reply.content)


def test_a_phase_that_sends_too_much_is_stopped_at_the_site(tmp_path, monkeypatch):
    from client.phases import latents

    real, replies = latents.run, []

    def leaky(site, request, outbox):
        real(site, request, outbox)
        outbox.public("n_cells", site.file.n_cells)

    def keep(reply):
        replies.append(reply)
        return reply

    monkeypatch.setattr(latents, "run", leaky)
    with pytest.raises(SiteFailure, match=r"phase latents failed .*latents\.n_cells is undeclared"):
        federate(tmp_path / "out", write_sites(tmp_path / "data", three_sites()), 3, tamper=keep)
    assert set(values_of(replies[-1].content)) == {"error"}
    logged = lines(tmp_path / "out/sites/site-1/outbox.jsonl")
    assert [line["phase"] for line in logged][-3:] == ["peaks", "reveal", "latents"]
    refused = logged[-1]["refused"]
    reply = next(r for r in replies if r.metadata.src_node_id == 1 and refuses(r))
    assert "fields" not in logged[-1]
    assert refused == values_of(reply.content)["error"]
    assert "latents.n_cells is undeclared" in refused["reason"]
