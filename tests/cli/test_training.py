"""From a data set to a model file: prepare, train and convert."""

import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import landscapes
from sdedit_jax import cli, weights
from sdedit_jax.checkpoints import CheckpointError, explained
from sdedit_jax.cli import results, training
from tests.cli.tiny import MODEL, SIZE, names, read, run_edit, write_guide
from tests.processes import holding


def test_convert_makes_one_file_that_gives_the_same_model(model_file, tmp_path, capsys):
    path = tmp_path / "models" / "half.safetensors"
    cli.convert(landscapes.get_config(), str(model_file), path, "float16")
    assert "MB" in capsys.readouterr().out
    assert path.stat().st_size < model_file.stat().st_size
    loaded, original = weights.load(path), weights.load(model_file)
    assert (loaded.model, loaded.sde, loaded.image_size) == (original.model, original.sde, SIZE)
    # The unit roundoff of float16.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2.0**-11, atol=1e-7), loaded.params, original.params
    )


def test_convert_refuses_another_ending_and_a_missing_model(model_file, tmp_path):
    with pytest.raises(ValueError, match="--out must be NAME.safetensors, or a new folder .*, got .*model.pt"):
        cli.convert(landscapes.get_config(), str(model_file), tmp_path / "model.pt", "float32")
    with pytest.raises(ValueError, match="There is no model file 'nothing', nor a model of that name"):
        cli.convert(landscapes.get_config(), "nothing", tmp_path / "model.safetensors", "float32")
    assert not names(tmp_path)


@pytest.fixture(scope="module")
def data_config(tmp_path_factory):
    """The config of a tiny model, with a few landscapes prepared for it."""
    from sdedit_jax.data.landscapes import builder

    config = landscapes.get_config()
    for section, fields in MODEL.items():
        if section == "data":
            config.data.update(fields)
        else:
            config[section] = ConfigDict(fields)
    config.data.dir = str(tmp_path_factory.mktemp("data"))
    config.training.update(
        num_steps=2, batch_size=2, log_every=1, checkpoint_every=2, sample_every=2, num_validation=2, warmup_steps=0
    )
    config.editing.num_steps = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "NUM_TERRAINS", {"train": 2, "validation": 1, "test": 1})
        patch.setattr(os, "cpu_count", lambda: 1)
        cli.prepare(config)
        config.data.source = str(builder.landscapes_folder(config.data.dir, SIZE))
    return config


@pytest.fixture(scope="module")
def workdir(data_config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    cli.train(data_config, workdir)
    return workdir


def test_a_run_leaves_metrics_edits_and_a_model_that_edits(workdir, config, out, tmp_path):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 2] and rows[1]["images_per_second"] > 0
    assert names(workdir / "edits") == ["step_0000002.png"]
    config.weights = str(workdir)
    run_edit(config, out, guide=write_guide(tmp_path / "hut.png"))
    assert json.loads((out / "hut.json").read_text())["weights"] == str(workdir)
    cli.convert(landscapes.get_config(), str(workdir), tmp_path / "model.safetensors", "float32")
    config.weights = str(tmp_path / "model.safetensors")
    run_edit(config, tmp_path / "converted", guide=tmp_path / "hut.png")
    np.testing.assert_array_equal(read(out / "hut_00.png"), read(tmp_path / "converted" / "hut_00.png"))


def test_a_second_run_in_a_folder_is_refused_before_it_writes(data_config, tmp_path):
    with holding(tmp_path) as holder:
        with pytest.raises(ValueError, match=f"Process {holder.pid} on .* trains in {tmp_path}"):
            cli.train(data_config, tmp_path)
    assert names(tmp_path) == [".lock"]


def test_a_run_is_not_overwritten_by_that_of_another_model(workdir, data_config):
    before = (workdir / "config.json").read_bytes()
    other = ConfigDict(data_config.to_dict())
    other.sde.sigma_max = 50.0
    with pytest.raises(
        ValueError, match="holds the run of another model, with config.sde = .*10.0.* instead of .*50.0"
    ):
        cli.train(other, workdir)
    assert (workdir / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seed", 99, "holds a run that began with --seed 0, which it keeps, but 99 is asked for"),
        ("training.init_from", "landscapes", "began with --init_from '', which it keeps, but landscapes is asked for"),
        ("training.muon_learning_rate", 0.0, "muon_learning_rate = 0.006, which cannot go on with 0.0"),
    ],
)
def test_a_run_keeps_what_it_began_with(workdir, data_config, field, value, message):
    before = (workdir / "config.json").read_bytes()
    other = ConfigDict(data_config.to_dict())
    other.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=message):
        cli.train(other, workdir)
    assert (workdir / "config.json").read_bytes() == before


@pytest.fixture
def again(workdir, tmp_path):
    """A copy of the finished run, of which a test may change the config."""
    return Path(shutil.copytree(workdir, tmp_path / "again"))


def change(again, **fields):
    """Writes `fields` into `config.json`, or takes them out if they are None."""
    config = json.loads((again / "config.json").read_text()) | fields
    (again / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def test_what_changes_about_a_run_is_said_and_noted(again, data_config, capsys):
    data_config = ConfigDict(data_config.to_dict())
    data_config.training.update(batch_size=4, device_batch_size=2)
    cli.train(data_config, again)
    changed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Changed: ")]
    assert changed == [
        "Changed: config.training.batch_size = 4 instead of 2",
        "Changed: config.training.device_batch_size = 2 instead of None",
    ]
    assert json.loads((again / "config.json").read_text())["training"]["batch_size"] == 4


def test_a_run_from_before_a_field_was_there_goes_on(again, data_config, capsys):
    config = json.loads((again / "config.json").read_text())
    num_pictures = config["num_pictures"]
    old = {name: value for name, value in config["training"].items() if name not in ("init_from", "snr_gamma")}
    change(again, num_pictures=None, editing=None, training=old)
    cli.train(data_config, again)
    assert "all 2 steps are done" in capsys.readouterr().out
    found = json.loads((again / "config.json").read_text())
    assert found["num_pictures"] == num_pictures == {"train": 8, "validation": 4}


def test_a_run_whose_pictures_are_others_is_refused(again, data_config):
    """As when the landscapes were rendered again, in another number."""
    change(again, num_pictures={"train": 12, "validation": 4})
    with pytest.raises(ValueError, match="began with 12 and 4 pictures .*, but config.data.source has 8 and 4 now"):
        cli.train(data_config, again)


def test_a_config_that_does_not_describe_its_run_is_a_sentence(again, data_config):
    (again / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="config.json does not describe the run .* it has no 'model'"):
        cli.train(data_config, again)


def test_a_folder_that_processes_do_not_share_is_named_as_that(tmp_path):
    """Where the folder is missing for one of them, and where it is another."""
    (tmp_path / "empty").mkdir()
    for workdir in (tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(ValueError, match=f"do not share {workdir}: --workdir must be one folder"):
            with explained(workdir):
                results.require_shared(workdir, "config.json", "--workdir")
    (tmp_path / "empty" / "config.json").touch()
    results.require_shared(tmp_path / "empty", "config.json", "--workdir")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.image_size", 32, "config.data.image_size is 32 but the pictures in .* are 16 x 16 pixels"),
        ("data.source", "/nowhere", "No usable data set in '/nowhere'.*--mode prepare"),
        ("training.batch_size", 0, "batch_size must be 1 or more, got 0"),
        ("training.device_batch_size", 0, "device_batch_size must be 1 or more, got 0"),
        ("training.ema_decay", 1.0, r"ema_decay must be in \[0, 1\), got 1.0"),
        ("training.grad_clip", 0.0, "config.training.grad_clip must be more than 0, got 0.0"),
        ("training.learning_rate", -1.0, "config.training.learning_rate must be 0 or more, got -1.0"),
        ("training.muon_learning_rate", -1.0, "config.training.muon_learning_rate must be 0 or more, got -1.0"),
        ("training.adam_b2", 1.0, r"config.training.adam_b2 must be in \[0, 1\), got 1.0"),
        ("training.warmup_steps", -1, "config.training.warmup_steps must be 0 or more, got -1"),
        ("training.cooldown_steps", -1, "config.training.cooldown_steps must be 0 or more, got -1"),
        ("editing.t0", float("nan"), r"config.editing.t0 must be in \(0, 1\], got nan"),
        ("seed", -1, r"config.seed must be in \[0, 2\^32\), got -1"),
        ("training.log_every", 0, "log_every must be 1 or more, got 0"),
        ("training.weighting", "flat", "config.training.weighting must be one of"),
        ("solver.name", "heun", "config.solver.name must be one of"),
    ],
)
def test_a_run_that_cannot_start_leaves_nothing(data_config, tmp_path, field, value, message):
    config = ConfigDict(data_config.to_dict())
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=message):
        cli.train(config, tmp_path / "run")
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("share", "most", "parts"), [(32, None, 1), (32, 32, 1), (32, 40, 1), (32, 31, 2), (12, 5, 3), (7, 2, 7)]
)
def test_a_device_takes_its_share_in_the_fewest_equal_parts(share, most, parts):
    assert training._num_parts(share, most) == parts
