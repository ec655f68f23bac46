"""Weights by name and address: what is on this machine comes first, and a person is told what to do by hand."""

import dataclasses
import functools
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
    (place / "model-5.ckpt.crdownload").touch()
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


def put(name, body):
    """A file in the place of the toy."""
    file = hub.place("toy:small") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    return file


@pytest.mark.parametrize("name", ["renamed.pt", "model-6.ckpt", "checkpoint_1.pth"])
def test_a_published_file_may_bear_any_name(cache, toy, monkeypatch, name, recwarn):
    """Also that of the other published file, and by either algorithm."""
    sha256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    other = known.Origin("https://example.com/6", ("model-6.ckpt",), f"sha256:{'0' * 64}")
    file = put(name, BODY)
    set_origins(monkeypatch, toy, *toy.origins, other)
    assert hub.fetch("toy:small") == file
    set_origins(monkeypatch, toy, dataclasses.replace(other, checksum=sha256))
    assert hub.fetch("toy:small") == file
    assert not recwarn.list


def test_a_conversion_is_used_with_a_warning(cache, toy):
    file = put("model.safetensors", b"converted")
    with pytest.warns(UserWarning, match=r"model.safetensors is used as it is: its checksum is not among the publ"):
        assert hub.fetch("toy:small") == file


@pytest.mark.parametrize("folder", ["", "unet/"])
def test_a_conversion_in_a_folder_is_used_with_a_warning(cache, toy, folder):
    place = put("config.json", b"{}").parent
    (place / "unet").mkdir()
    put(f"{folder}diffusion_pytorch_model.safetensors", b"converted")
    with pytest.warns(UserWarning, match="diffusion_pytorch_model.safetensors is used as it is"):
        assert hub.fetch("toy:small") == place


def test_what_has_no_published_checksum_is_used_without_a_word(cache, toy, monkeypatch, recwarn):
    file = put("checkpoint_1.pth", b"by hand")
    assert hub.fetch("toy:small") == file
    set_origins(monkeypatch, toy, toy.origins[0])
    put("checkpoint_1.pth", b"other")
    assert hub.fetch("toy:small") == file
    assert not recwarn.list


def test_the_address_of_a_known_file_is_held_to_its_checksum(server, cache, toy, monkeypatch):
    address = toy.origins[1].address
    server.replies["/share/?dl=1"] = Reply(b"something else")
    with pytest.raises(WeightsError, match=r"sent a file that is damaged or not the published one \(md5:"):
        hub.fetch(address)
    assert not cache.exists()
    server.replies["/share/?dl=1"] = Reply(BODY)
    path = hub.fetch(address)
    path.write_bytes(b"rotten")
    with pytest.raises(WeightsError, match="weights is damaged or another file than the published one"):
        hub.fetch(address)


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_a_known_repository_is_held_to_its_checksum(cache, toy, monkeypatch, tmp_path, layout):
    """What is already in the hub's cache, too; a revision of it is another file."""
    hub_library = pytest.importorskip("huggingface_hub")
    commit, name = "0" * 40, "diffusion_pytorch_model.bin"
    model = tmp_path / "hub" / "models--someone--toy"
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for ref in ("main", "v1"):
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / ref).write_text(commit)
    for file in ("config.json", "model_index.json", "scheduler_config.json", name):
        (snapshot / file).write_bytes(BODY)
    set_origins(monkeypatch, toy, known.Origin("hf://someone/toy", ("config.json", name), MD5))
    address = "hf://someone/toy" if layout == "folder" else f"hf://someone/toy/{name}"
    monkeypatch.setattr(
        hub_library,
        "try_to_load_from_cache",
        functools.partial(hub_library.try_to_load_from_cache, cache_dir=str(tmp_path / "hub")),
    )
    expected = snapshot if layout == "folder" else snapshot / name
    assert hub.fetch(address) == expected
    (snapshot / name).write_bytes(b"something else")
    with pytest.raises(WeightsError, match=rf"{name} is damaged or another file than the published one"):
        hub.fetch(address)
    assert hub.fetch(f"{address}@v1") == expected


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
        f'-e ".[hub]"; {first.address} cannot be fetched: the server answers 404 Not Found): '
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
