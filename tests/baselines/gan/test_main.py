"""The three stages on the command line, one after the other, with networks that compile in a moment."""

import json

import jax
import numpy as np
import pytest

from sdedit_jax.baselines.gan import __main__ as program
from sdedit_jax.baselines.gan import invert, load, synthesize
from sdedit_jax.images import save_image
from tests.baselines.gan import small


@pytest.fixture
def run(monkeypatch):
    """A function that calls the program with these arguments."""
    monkeypatch.setattr(program, "NETWORKS", small.SMALL)
    monkeypatch.setattr(program, "DISCRIMINATOR", small.DISCRIMINATOR)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["gan", *map(str, arguments)])
        program.main()

    return run


@pytest.fixture
def data_dir(tmp_path):
    for number, picture in enumerate(small.pictures(jax.random.key(1), 20)):
        save_image(tmp_path / "data" / f"{number}.png", picture)
    return tmp_path / "data"


def test_training_the_encoder_and_the_file(run, data_dir, tmp_path):
    workdir, out = tmp_path / "run", tmp_path / "gan.safetensors"
    places = ("--data_dir", data_dir, "--workdir", workdir, "--batch_size", 8)
    run(*places, "--num_steps", 1)
    run(*places, "--num_steps", 2)
    run(*places, "--num_steps", 2, "--stage", "encoder")
    run("--workdir", workdir, "--stage", "export", "--out", out)
    for folder in (workdir, workdir / "encoder"):
        assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2
        assert (folder / "pictures" / "step_000002.png").is_file()
    params, gan = load(out)
    x_guide = small.pictures(jax.random.key(2), 3)
    x = synthesize(params, invert(params, x_guide, gan=gan), gan=gan)
    assert x.shape == x_guide.shape and np.isfinite(x).all()


def test_what_is_missing_is_asked_for(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("--workdir", tmp_path / "run")
    assert "--data_dir" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--workdir", tmp_path / "run", "--data_dir", tmp_path / "nowhere")
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--workdir", tmp_path / "run", "--stage", "export")
    assert "No checkpoint" in capsys.readouterr().err
