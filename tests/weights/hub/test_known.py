"""The table of known models: addresses and checksums of the right form, and facts that a config can be built of."""

import re
import urllib.parse
from pathlib import Path

import pytest

from sdedit_jax import build
from sdedit_jax.weights import diffusers, hub
from sdedit_jax.weights.hub import huggingface, known
from sdedit_jax.weights.hub.known import MODELS, OTHERS

ORIGINS = [(name, origin) for name, model in MODELS.items() for origin in model.origins]
ORIGINS += [("not averaged", origin) for origin in OTHERS]
DOCUMENT = Path(__file__).parents[3] / "docs" / "weights.md"
DIGITS = {"sha256": 64, "md5": 32}


@pytest.mark.parametrize(("name", "origin"), ORIGINS, ids=[f"{name} {origin.address}" for name, origin in ORIGINS])
def test_an_origin_can_be_used(name, origin):
    if origin.address.startswith("hf://"):
        match = huggingface.ADDRESS.fullmatch(origin.address)
        assert match and match["revision"] is None
        assert origin.files == (match["file"],) or origin.files[-1] in diffusers.WEIGHTS
    else:
        assert urllib.parse.urlsplit(origin.address).scheme == "https" and len(origin.files) == 1
    assert origin.by_hand == ("drive.google.com" in origin.address)
    assert all(re.fullmatch(r"[\w.-]+", file) for file in origin.files)
    if origin.checksum:
        algorithm, digits = origin.checksum.split(":")
        assert re.fullmatch(rf"[0-9a-f]{{{DIGITS[algorithm]}}}", digits)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_described(name):
    model = MODELS[name]
    build.build_sde(model.overrides)
    assert model.title and model.megabytes > 100 and model.origins
    assert len(model.checksums) == len(model.origins)  # no file name stands for two files


def test_no_two_models_share_a_place_or_an_origin():
    assert len({hub.place(name) for name in MODELS}) == len(MODELS)
    assert len({origin.address for _, origin in ORIGINS}) == len(ORIGINS)
    checksums = [origin.checksum for _, origin in ORIGINS if origin.checksum]
    assert len(set(checksums)) == len(checksums)


def test_an_address_is_known_without_its_revision_alone():
    for _, origin in ORIGINS:
        assert known.origin(origin.address) is origin
        assert known.origin(f"{origin.address}@main") is None and known.origin(f"{origin.address}/other") is None
    repository = "hf://google/ddpm-ema-cat-256"
    assert known.origin(f"{repository}/diffusion_pytorch_model.bin") is known.origin(repository) is not None


def test_those_that_are_not_averaged_stand_for_each_that_is():
    averaged = [origin.files for _, origin in ORIGINS if "heibox" in origin.address and origin not in OTHERS]
    assert sorted(origin.files for origin in OTHERS) == sorted(averaged) and all(origin.checksum for origin in OTHERS)


def test_the_document_counts_second_sources():
    second = [name for name, model in MODELS.items() if sum(not origin.by_hand for origin in model.origins) > 1]
    assert len(second) == 5 and len(MODELS) == 14
    assert "Five of the fourteen" in DOCUMENT.read_text(encoding="utf-8")


def test_every_256_model_and_ddpm_can_be_fetched_by_a_program():
    for name, model in MODELS.items():
        by_program = [origin for origin in model.origins if not origin.by_hand]
        assert by_program or name.startswith("cifar10:")


def test_the_document_lists_them_all():
    rows = re.findall(
        r"^\|.*\| `(\S+)` \| (?:`(\S+)`|by hand) \| (\d+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M
    )
    expected = []
    for name, model in MODELS.items():
        first = model.origins[0]
        expected.append((name, "" if first.by_hand else first.address, str(model.megabytes)))
    assert rows == expected


def test_the_document_sends_a_person_to_the_right_place():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in ("lsun_bedroom", "cifar10:ncsnpp"):
        origin = MODELS[name].origins[0]
        page = origin.address.replace("hf://", "https://huggingface.co/")
        assert page in text and all(f"`{file}`" in text for file in origin.files)
        assert f"`~/.cache/sdedit_jax/weights/{hub.place(name).name}/`" in text
    unchecked = [
        name for name, model in MODELS.items() if not any(model.checksums.values()) and not model.origins[0].by_hand
    ]
    assert unchecked == ["lsun_church:ncsnpp"]  # as the document says
