"""The landscapes look like landscapes, depend on their seed alone, and survive the way to disk and back."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from sdedit_jax.data.landscapes import render_landscapes
from sdedit_jax.data.landscapes.builder import LandscapesConfig, prepare_landscapes, split_seeds
from sdedit_jax.data.landscapes.camera import cast_rays, find_view
from sdedit_jax.data.landscapes.fields import sample, shift, spectral_noise
from sdedit_jax.data.landscapes.render import make_scene
from sdedit_jax.data.landscapes.terrain import STYLES

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
NUM_TERRAINS = {"train": 2, "validation": 1, "test": 1}


@pytest.fixture(scope="module")
def many_views():
    """One view, 32 pixels wide, of each of 24 landscapes."""
    return np.concatenate([render_landscapes(seed, num_views=1, image_size=32, grid_size=160) for seed in range(24)])


@pytest.fixture(scope="module")
def scene():
    return make_scene(np.random.default_rng(5), grid_size=160)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def prepared(data_dir):
    return prepare_landscapes(data_dir, num_terrains=NUM_TERRAINS, num_workers=1)


def read(path, split):
    return list(tfds.builder_from_directory(path).as_data_source(split=split))


def test_pictures_are_bytes_of_the_asked_shape():
    views = render_landscapes(3, num_views=2, image_size=24, supersampling=1, grid_size=64)
    assert views.shape == (2, 24, 24, 3)
    assert views.dtype == np.uint8


def test_a_seed_is_one_landscape_and_another_seed_another():
    options = {"image_size": 24, "grid_size": 64}
    np.testing.assert_array_equal(render_landscapes(1, **options), render_landscapes(1, **options))
    assert (render_landscapes(1, **options) != render_landscapes(2, **options)).mean() > 0.5


def test_a_view_does_not_depend_on_how_many_there_are():
    one, three = (render_landscapes(1, num_views=n, image_size=24, grid_size=64) for n in (1, 3))
    np.testing.assert_array_equal(one[0], three[0])
    assert (three[0] != three[1]).mean() > 0.5


def test_the_sky_is_above_and_the_ground_below(many_views):
    top, bottom = (part.mean((1, 2)) for part in (many_views[:, :8] / 255.0, many_views[:, -8:] / 255.0))
    # Snow under a dark sky, or the sun's reflection in a lake, may turn a few pictures around, but never most.
    assert (top.mean(-1) > bottom.mean(-1)).mean() > 0.8
    blueness_top, blueness_bottom = (part[:, 2] - part[:, 0] for part in (top, bottom))
    assert (blueness_top > blueness_bottom).mean() > 0.7


def test_pictures_use_the_range_of_a_photograph(many_views):
    assert 90 < many_views.mean() < 170
    assert many_views.std((1, 2)).mean() > 25  # a flat picture has 0, black and white halves have 127
    assert (many_views == 255).mean() < 0.05
    assert (many_views == 0).mean() < 0.05


def test_the_probabilities_of_the_styles_sum_to_one():
    np.testing.assert_allclose(sum(style.probability for style in STYLES), 1, rtol=1e-12)


def test_terrain_fills_its_range_and_water_lies_flat(scene):
    terrain = scene.terrain
    assert terrain.height.min() == 0
    np.testing.assert_allclose(terrain.height.max(), 1, rtol=1e-6)
    assert terrain.has_water, "choose another seed for this fixture"
    under_water = terrain.height < terrain.water_level
    assert 0.05 < under_water.mean() < 0.95
    np.testing.assert_allclose(terrain.surface[under_water], terrain.water_level * terrain.relief, rtol=1e-6)


def test_rays_end_on_the_first_ground_that_a_march_along_each_meets(scene):
    camera, hits = find_view(np.random.default_rng(0), scene.terrain, 16)
    surface, distances = scene.terrain.surface, np.geomspace(0.012, 1.25, 260)
    assert 0.2 < hits.found.mean() < 0.9
    for row in range(16):
        for column in range(16):
            across, upward = camera.across[column], camera.upward[row]
            x = camera.x + distances * (np.sin(camera.heading) + np.cos(camera.heading) * across)
            y = camera.y + distances * (np.cos(camera.heading) - np.sin(camera.heading) * across)
            clearance = camera.z + distances * upward - scene.terrain.at(surface, x, y)
            # float32 decides touching rays either way, so only a clear miss or hit is held against the renderer
            before = distances < hits.distance[row, column] * 0.999
            if hits.found[row, column]:
                assert (clearance[before] > -1e-5).all()
                assert clearance[np.argmin(np.abs(distances - hits.distance[row, column]))] < 1e-5
            else:
                assert (clearance > -1e-5).all()


def test_casting_rays_again_changes_nothing(scene):
    camera, hits = find_view(np.random.default_rng(0), scene.terrain, 16)
    np.testing.assert_array_equal(cast_rays(scene.terrain, camera).distance, hits.distance)


def test_noise_is_normal_and_repeats():
    noise = spectral_noise(np.random.default_rng(0), 64, 4.0, 1)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=1e-5)
    # A field that did not repeat would jump at its edge by about its deviation, 1.
    inside, across_the_edge = np.abs(noise[:, 31] - noise[:, 32]).mean(), np.abs(noise[:, 0] - noise[:, -1]).mean()
    assert across_the_edge < 2 * inside < 1


def test_sampling_interpolates_between_cells_and_around_the_edge():
    field = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    rows, columns = np.mgrid[:8, :8]
    np.testing.assert_array_equal(sample(field, columns + 8, rows - 16), field)
    middle = (field[0, 7] + field[0, 0] + field[1, 7] + field[1, 0]) / 4
    np.testing.assert_allclose(sample(field, np.array([7.5]), np.array([0.5])), [middle], rtol=1e-5)
    np.testing.assert_allclose(shift(field, 2.3, -4.6), sample(field, columns + 2.3, rows - 4.6), rtol=1e-4, atol=1e-6)


def test_stored_pictures_are_the_rendered_ones(prepared):
    for split, num_terrains in NUM_TERRAINS.items():
        examples = read(prepared, split)
        keys = {(int(example["seed"]), int(example["view"])) for example in examples}
        assert keys == {(seed, view) for seed in split_seeds(split, num_terrains) for view in range(4)}
        assert len(examples) == len(keys)
        rendered = {seed: render_landscapes(seed) for seed in split_seeds(split, num_terrains)}
        for example in examples:
            np.testing.assert_array_equal(example["image"], rendered[int(example["seed"])][int(example["view"])])


def test_the_number_of_processes_changes_nothing(prepared, tmp_path):
    parallel = prepare_landscapes(tmp_path, num_terrains=NUM_TERRAINS, num_workers=2)
    files = sorted(path.name for path in prepared.glob("*array_record*"))
    assert len(files) == len(NUM_TERRAINS)
    for name in files:
        assert (parallel / name).read_bytes() == (prepared / name).read_bytes()


def test_a_finished_data_set_is_not_rendered_again(data_dir, prepared):
    written = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}
    assert prepare_landscapes(data_dir, num_terrains=NUM_TERRAINS, num_workers=1) == prepared
    assert {path: path.stat().st_mtime_ns for path in prepared.iterdir()} == written


def test_a_killed_run_leaves_nothing_that_looks_finished(tmp_path):
    program = (
        "import sys; from sdedit_jax.data.landscapes.builder import prepare_landscapes\n"
        "prepare_landscapes(sys.argv[1], num_terrains={'train': 9999, 'validation': 1, 'test': 1}, num_workers=1)"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        while not (begun := list(tmp_path.glob("landscapes/*/*"))):
            assert run.poll() is None
            time.sleep(0.05)
    finally:
        run.kill()
        run.wait()
    assert all(path.name != "1.0.0" for path in begun)
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_splits_share_no_seed_and_growing_one_keeps_its_terrains():
    first, second, third = sorted((split_seeds(split, 1_000_000) for split in NUM_TERRAINS), key=min)
    assert first.stop <= second.start and second.stop <= third.start and third == split_seeds("train", 1_000_000)
    assert list(split_seeds("train", 7))[:5] == list(split_seeds("train", 5))


@pytest.mark.parametrize(
    ("image_size", "num_terrains", "message"),
    [
        (0, NUM_TERRAINS, "image_size must be 1 pixel"),
        (64, {"train": 2}, "must name the splits"),
        (64, NUM_TERRAINS | {"validation": 0}, "validation must have 1 to"),
        (64, NUM_TERRAINS | {"test": 1_000_001}, "test must have 1 to"),
    ],
)
def test_impossible_sizes_are_named(image_size, num_terrains, message):
    with pytest.raises(ValueError, match=message):
        LandscapesConfig(image_size=image_size, num_terrains=num_terrains)


def test_a_worker_loads_neither_jax_nor_tfds():
    program = "import sys, sdedit_jax.data.landscapes.render; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    modules = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    ).stdout.split()
    assert "numpy" in modules
    assert not {"jax", "flax", "tensorflow_datasets", "PIL"} & set(modules)
