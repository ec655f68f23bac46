"""Weights by name and address: what is on this machine comes first, and a person is told what to do by hand."""

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

import pytest

from sdedit_jax.weights import WeightsError, hub
from sdedit_jax.weights.hub import known
from tests.weights.hub.server import Reply, serving

BODY = b"weights" * 1000
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/a%20model.ckpt?dl=1": Reply(BODY), "/share/?dl=1": Reply(BODY)}) as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "sdedit_jax" / "weights"


@pytest.fixture
def toy(server, monkeypatch):
    """A known model `toy:small` of three origins: a file that is not there, one that is, and one for a person."""
    origins = (
        known.Origin(f"{server.url}/gone.ckpt", ("gone.ckpt",)),
        known.Origin(f"{server.url}/share/?dl=1", ("model-5.ckpt",), MD5),
        known.Origin("https://drive.example.com/folders/x", ("config.json", "checkpoint_1.pth"), by_hand=True),
    )
    model = known.Model("Toys", 8, {"name": "vp"}, 7, origins)
    monkeypatch.setattr(known, "MODELS", known.MODELS | {"toy:small": model})
    return model


def set_origins(monkeypatch, toy, *origins):
    toy = dataclasses.replace(toy, origins=origins)
    monkeypatch.setattr(known, "MODELS", known.MODELS | {"toy:small": toy})


def test_an_address_is_fetched_once(server, cache):
    url = f"{server.url}/a%20model.ckpt?dl=1"
    path = hub.fetch(url)
    assert path.read_bytes() == BODY and path.name == "a model.ckpt" and path.parents[2] == cache
    assert hub.fetch(url) == path and len(server.requests) == 1
    nameless = hub.fetch(f"{server.url}/share/?dl=1")
    assert nameless.name == "weights" and nameless.parent != path.parent


def test_a_known_model_comes_from_the_first_origin_that_has_it(server, cache, toy):
    path = hub.fetch("toy:small")
    assert path == hub.place("toy:small") / "model-5.ckpt" == cache / "toy_small" / "model-5.ckpt"
    assert path.read_bytes() == BODY
    assert [request[1] for request in server.requests] == ["/gone.ckpt", "/share/?dl=1"]
    assert hub.fetch("toy:small") == path and len(server.requests) == 2


def test_what_a_person_put_there_wins(server, cache, toy):
    place = hub.place("toy:small")
    place.mkdir(parents=True)
    (place / ".part").touch()
    mine = place / "checkpoint_1.pth"
    mine.write_bytes(b"mine")
    assert hub.fetch("toy:small") == mine
    (place / "config.json").write_text("{}")
    assert hub.fetch("toy:small") == place
    assert not server.requests


def test_two_files_are_one_too_many(cache, toy):
    place = hub.place("toy:small")
    place.mkdir(parents=True)
    for name in ("b.pth", "a.pth"):
        (place / name).touch()
    with pytest.raises(WeightsError, match=r"toy_small holds a.pth, b.pth: leave one file there"):
        hub.fetch("toy:small")


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_the_checksum_is_that_of_the_name(cache, toy, layout):
    """Also later: a disk may have lost what was right when it was fetched."""
    place = hub.place("toy:small")
    place.mkdir(parents=True)
    if layout == "folder":
        (place / "config.json").write_text("{}")
    file = place / "model-5.ckpt"
    file.write_bytes(BODY)
    assert hub.fetch("toy:small") == (place if layout == "folder" else file)
    file.write_bytes(BODY[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"model-5.ckpt is damaged or another file .* Delete it to have it fetched"):
        hub.fetch("toy:small")


def test_a_wrong_file_at_one_origin_leaves_the_next(server, cache, toy, monkeypatch):
    first, second, _ = toy.origins
    set_origins(monkeypatch, toy, dataclasses.replace(second, checksum=f"md5:{'0' * 32}"), second)
    assert hub.fetch("toy:small").read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_person_is_told_what_to_fetch_and_where_to_put_it(server, cache, toy, monkeypatch):
    first, _, third = toy.origins
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    repository = known.Origin("hf://someone/toy", ("config.json", "model.bin"))
    set_origins(monkeypatch, toy, repository, first, third)
    with pytest.raises(WeightsError) as error:
        hub.fetch("toy:small")
    assert str(error.value) == (
        "toy:small, Toys, 7 MB, has to be fetched by hand (hf://someone/toy needs huggingface_hub: pip install "
        f'"sdedit_jax[hub]"; {first.address} cannot be fetched: 404 Client Error: Not Found for url: {first.address}): '
        "put config.json and model.bin of https://huggingface.co/someone/toy/tree/main, "
        f"or gone.ckpt of {first.address}, "
        f"or config.json and checkpoint_1.pth of {third.address} into {cache / 'toy_small'}."
    )
    assert not cache.exists() or not list(cache.rglob("*.ckpt"))


def test_offline_means_no_request(server, cache, toy, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="gone.ckpt cannot be fetched: HF_HUB_OFFLINE is set; .* into .*toy_small"):
        hub.fetch("toy:small")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        hub.fetch(f"{server.url}/share/?dl=1")
    assert not server.requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub.fetch("toy:small").read_bytes() == BODY


def test_other_names_and_addresses_are_refused(cache):
    with pytest.raises(WeightsError, match=r"There is no known model 'lsun_dog'; there are lsun_bedroom, .*"):
        hub.place("lsun_dog")
    for source in ("lsun_dog", "ftp://example.com/x", "file:///etc/passwd"):
        with pytest.raises(WeightsError, match=re.escape(f"{source} cannot be fetched: only https is")):
            hub.fetch(source)
    assert not cache.exists()


def test_the_cache_is_in_the_home_unless_it_is_moved(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert hub.place("lsun_cat") == Path.home() / ".cache" / "sdedit_jax" / "weights" / "lsun_cat"
