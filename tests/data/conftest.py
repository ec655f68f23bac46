"""Data sets that several modules read, and a cache folder of the tests' own."""

import pytest
from PIL import Image

from sdedit_jax.data import shards
from tests.data import tfds_pictures
from tests.data.writers import COUNT, picture


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder of `tfds_pictures`, to be left as it is."""
    return tfds_pictures.prepare(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def small_shards(monkeypatch):
    """Several shards of few pictures, so that there is something to cut."""
    monkeypatch.setattr(shards, "_PICTURES_A_SHARD", 8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Pictures of odd sizes, turned by their EXIF tag or in printers' colours, as cameras and editors write them."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(COUNT):
        image, exif = Image.fromarray(picture(index, 9 + index, 40 - index)), Image.Exif()
        exif[0x0112] = 6 if index % 3 else 1
        (image if index % 2 else image.convert("CMYK")).save(folder / f"{index:02}.jpg", exif=exif)
    return folder
