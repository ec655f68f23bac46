"""Whatever interrupts the making of a prepared folder, it ends the same; and no good picture is left out."""

import contextlib
import itertools
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from sdedit_jax.data import shards
from sdedit_jax.data.pipeline import DataError, open_source
from sdedit_jax.data.preparing import prepare
from tests.data.reading import contents, images_of
from tests.data.writers import COUNT, SIZE, picture
from tests.processes import holding

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

pytestmark = pytest.mark.usefixtures("small_shards")


def damage(folder, count):
    """Cuts off the last `count` pictures, by name."""
    paths = sorted(folder.rglob("*.jpg"))[-count:]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-100])
    return paths


PROGRAM = """
import sys
from sdedit_jax.data import preparing, shards
if __name__ == "__main__":
    shards._PICTURES_A_SHARD = 8
    preparing.prepare(*sys.argv[1:], image_size=64, num_workers=2)
"""


def test_processes_and_a_kill_change_nothing(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "killed"
    source.mkdir()
    for index in range(80):
        Image.fromarray(picture(index, 300)).save(source / f"{index:03}.png", compress_level=0)
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(source), str(folder)]
    notes = tmp_path / "killed.unfinished" / "notes"
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as run:
        while not list(notes.glob("*")):
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    finished = {path.name: path.stat().st_mtime_ns for path in notes.glob("p*")}
    assert 0 < len(finished) < 11 and not folder.exists()
    with pytest.raises(DataError, match="nor pictures"):
        open_source(tmp_path / "killed.unfinished" / "data", "train")
    prepare(source, folder, image_size=64, num_workers=1)
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert all(written[name.removesuffix(".json")] <= time_ns for name, time_ns in finished.items())
    alone = prepare(source, tmp_path / "alone", image_size=64, num_workers=1).folder
    assert contents(alone) == contents(folder)
    assert not (tmp_path / "killed.unfinished").exists()


def test_interrupted_anywhere_it_ends_the_same(photographs, tmp_path, monkeypatch):
    straight = prepare(photographs, tmp_path / "straight", image_size=SIZE, num_workers=1).folder
    encode_png, attempts = shards._encode_png, 0

    def interrupted(image):
        if next(calls) == 11:  # in the second shard that this attempt writes
            raise KeyboardInterrupt
        return encode_png(image)

    monkeypatch.setattr(shards, "_encode_png", interrupted)
    while not (tmp_path / "out").exists():
        attempts, calls = attempts + 1, itertools.count()
        with contextlib.suppress(KeyboardInterrupt):
            prepare(photographs, tmp_path / "out", image_size=SIZE, num_workers=1)
    assert attempts == 4  # five shards, of which the last attempt writes two
    assert contents(tmp_path / "out") == contents(straight)


def test_damaged_pictures_are_named_and_left_out_up_to_a_limit(photographs, tmp_path):
    source = Path(shutil.copytree(photographs, tmp_path / "source"))
    damaged = damage(source, 3)
    (source / "page.png").write_text("<html>")
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out", image_size=SIZE, max_corrupt=0.1, num_workers=1)
    assert "So far 4 of 31 pictures are damaged, more than config.data.max_corrupt = 0.1" in str(caught.value)
    assert all(str(path) in str(caught.value) for path in damaged)
    assert not (tmp_path / "out").exists()
    # As many as allowed are left out, and what was finished is not read again.
    prepared = prepare(source, tmp_path / "out", image_size=SIZE, max_corrupt=0.15, num_workers=1)
    assert sum(prepared.num_pictures.values()) == COUNT - 3
    assert sorted(sentence.split()[0] for sentence in prepared.skipped) == sorted(
        str(path) for path in [*damaged, source / "page.png"]
    )
    assert len(images_of(prepared.folder, "train") + images_of(prepared.folder, "validation")) == COUNT - 3


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that always fails to be read")
def test_a_disk_that_fails_leaves_no_picture_out(photographs, tmp_path):
    source = Path(shutil.copytree(photographs, tmp_path / "source"))
    (source / "99.jpg").symlink_to("/proc/self/mem")  # its first byte is an input/output error
    with pytest.raises(DataError, match=r"99.jpg cannot be read any more \(Input/output error\). Bring it back"):
        prepare(source, tmp_path / "out", image_size=SIZE, max_corrupt=1.0, num_workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["out/prepared.json", "out.unfinished/request.json"])
@pytest.mark.parametrize("content", ["{}", "[1]", "\0\0", '{"source": '])
def test_a_damaged_record_of_what_was_made_is_named(photographs, tmp_path, name, content):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name} is damaged, so what .* was made of is not known: give another"):
        prepare(photographs, tmp_path / "out", image_size=SIZE, num_workers=1)


def test_unfinished_work_belongs_to_one_request_of_one_source(photographs, tmp_path):
    source = Path(shutil.copytree(photographs, tmp_path / "source"))
    damaged = damage(source, 1)

    def attempt(**options):
        prepare(source, tmp_path / "out", **{"image_size": SIZE, "max_corrupt": 0.0, "num_workers": 1} | options)

    with pytest.raises(DataError, match="1 of 30 pictures are damaged"):
        attempt()
    with pytest.raises(DataError, match="out.unfinished was made with image_size = 8, but 4 is asked for"):
        attempt(image_size=4)
    with (
        holding(tmp_path / "out.unfinished") as holder,
        pytest.raises(DataError, match=rf"Process {holder.pid} .* is at work in .*out.unfinished: wait for it"),
    ):
        attempt()
    damaged[0].unlink()
    with pytest.raises(DataError, match="has changed since .*out.unfinished was begun: remove that and start again"):
        attempt()


def test_a_full_disk_is_a_sentence_and_loses_nothing(photographs, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = prepare(photographs, tmp_path / "straight", image_size=96, num_workers=1).folder
    full = min(path.stat().st_size for path in large.glob("*train*")) // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))  # as a disk with this much room for a file
    try:
        with pytest.raises(DataError, match=r"cannot be written \(.*File too large.* Make room and give the same"):
            prepare(photographs, tmp_path / "out", image_size=96, num_workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "out").exists()
    assert contents(prepare(photographs, tmp_path / "out", image_size=96, num_workers=1).folder) == contents(large)
