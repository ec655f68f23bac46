"""A run may start from a model that exists, and be asked what it would take."""

import json
import re
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from sdedit_jax import cli, weights
from sdedit_jax.checkpoints import restore_ema
from tests.cli.tiny import MODEL, names, pixels


@pytest.fixture
def photos(tmp_path):
    """A folder of eleven pictures, larger than the model's."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(11):
        Image.fromarray(pixels(20, 30, seed=number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def own_config(config, photos):
    """A config that describes another network than the model it starts from, for a short run on these pictures."""
    config.data.source = str(photos)
    config.model = ConfigDict({"name": "tiny", "channels": 2})
    config.sde.sigma_max = 77.0
    config.training.update(
        num_steps=2, batch_size=2, log_every=1, checkpoint_every=1, sample_every=2, num_validation=1, warmup_steps=0
    )
    config.editing.num_steps = config.sampling.num_steps = 2
    return config


def test_a_run_starts_from_the_model_it_is_given(own_config, model_file, tmp_path):
    """Without a learning rate it ends with that model, in params and in their average."""
    own_config.training.init_from = str(model_file)
    own_config.training.learning_rate = own_config.training.muon_learning_rate = 0.0
    cli.train(own_config, tmp_path / "run")
    wanted = weights.load(model_file)
    # The average of equal numbers, rounded twice.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), restore_ema(tmp_path / "run"), wanted.params)
    found = weights.load(tmp_path / "run")
    assert (found.model, found.sde) == (wanted.model, wanted.sde)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["sde"] == MODEL["sde"]
    assert names(tmp_path / "run" / "samples") == names(tmp_path / "run" / "edits") == ["step_0000002.png"]


def test_it_goes_on_without_that_model(own_config, model_file, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(model_file.read_bytes())
    own_config.training.init_from = str(model)
    cli.train(own_config, tmp_path / "run")
    model.unlink()
    own_config.training.num_steps = 3
    cli.train(own_config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert max(row["step"] for row in rows) == 3


def test_a_picture_more_or_less_is_refused_as_it_draws_another_line(own_config, photos, tmp_path):
    """Of ten pictures as many are trained on as of eleven, but not the same ones."""
    cli.train(own_config, tmp_path / "run")
    (photos / "0.png").unlink()
    with pytest.raises(ValueError, match="began with 9 and 2 pictures .* has 9 and 1 now: pictures that were held out"):
        cli.train(own_config, tmp_path / "run")


def test_a_missing_model_is_named_and_nothing_is_written(own_config, tmp_path):
    own_config.training.init_from = "nothing"
    with pytest.raises(ValueError, match="There is no model file 'nothing', nor a model of that name"):
        cli.train(own_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(own_config, tmp_path, capsys):
    before = names(tmp_path)
    cli.dry_run(own_config, tmp_path / "run")
    said = re.sub(r" +", " ", capsys.readouterr().out)
    num_params = 3 * 3 * 3 * 2 + 2 + 2 + 2 + 3 * 3 * 2 * 3 + 3
    assert f"Network: {num_params} parameters" in said
    assert "Pictures: 9 to train on, 2 held out" in said
    assert "Epoch: 4.5 steps of 2 pictures" in said and "Run: 2 steps, 0.4 epochs" in said
    assert f"Devices: {jax.device_count()} x cpu" in said and "Memory: " in said
    assert names(tmp_path) == before


def test_a_dry_run_checks_what_a_run_checks(own_config, photos):
    own_config.data.source = str(photos / "nowhere")
    with pytest.raises(ValueError, match="No usable data set in .*nowhere"):
        cli.dry_run(own_config, None)


@pytest.mark.parametrize("mode", [cli.train, cli.dry_run])
def test_a_place_that_cannot_be_written_is_refused(own_config, photos, mode):
    with pytest.raises(ValueError, match="Cannot write into .*0.png.*: Not a directory. Choose another folder"):
        mode(own_config, photos / "0.png" / "run")


@pytest.mark.parametrize("mode", [cli.train, cli.dry_run])
def test_tensorboard_without_its_package_is_refused_before_anything_is_written(own_config, tmp_path, mode, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    own_config.training.tensorboard = True
    with pytest.raises(ValueError, match="config.training.tensorboard needs tensorboardX"):
        mode(own_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
