"""The mode prepare: what it asks for, what it says, and the command that it leaves."""

import shlex

import pytest

from configs import landscapes
from sdedit_jax import cli
from sdedit_jax.cli.preparing import training_command
from tests.cli.tiny import SIZE, write_guide


@pytest.fixture
def data_config():
    config = landscapes.get_config()
    config.data.image_size = SIZE
    return config


@pytest.fixture
def photographs(tmp_path):
    for index in range(12):
        write_guide(tmp_path / "photographs" / f"{index}.png", SIZE + index, 2 * SIZE, seed=index)
    return tmp_path / "photographs"


def test_it_says_where_the_data_set_is_what_it_lacks_and_how_to_train_on_it(
    data_config, photographs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    path = photographs / "7.png"
    path.write_bytes(path.read_bytes()[:300])
    folder = tmp_path / "prepared"
    with pytest.raises(
        ValueError, match="So far 1 of 12 pictures are damaged, more than config.data.max_corrupt = 0.01"
    ):
        cli.prepare(data_config, str(photographs), folder)
    data_config.data.max_corrupt = 0.1
    data_config.data.fit = "resize"
    with pytest.raises(ValueError, match="was made with fit = 'crop', but 'resize' is asked for"):
        cli.prepare(data_config, str(photographs), folder)
    data_config.data.fit = "crop"
    data_config.data.source = str(photographs)  # which --source goes before
    cli.prepare(data_config, None, folder)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Left out: {path} is damaged or cut off")
    assert said[1:3] == ["9 pictures for train, 2 pictures for validation", f"Data set: {folder}"]
    assert f"--mode train --config.data.source={folder} --workdir runs/prepared" in said[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        "--config configs/cifar10.py --mode prepare --source cifar10 --out data/cifar --config.data.image_size=64",
        "--mode=prepare --config configs/cifar10.py --source=cifar10 --config.data.image_size=64 --out=data/cifar",
        "--config configs/cifar10.py -mode prepare --config.data.source a --out b --config.data.image_size=64",
    ],
)
def test_the_command_keeps_what_training_shares_with_preparing(tmp_path, arguments):
    command = training_command(["python", "main.py", *shlex.split(arguments)], tmp_path / "my cifar")
    expected = ["--config", "configs/cifar10.py", "--config.data.image_size=64", "--mode", "train"]
    assert shlex.split(command) == [
        *("python", "main.py", *expected),
        f"--config.data.source={tmp_path / 'my cifar'}",
        *("--workdir", "runs/my cifar"),
    ]


def test_where_to_is_asked_for(data_config, tmp_path):
    with pytest.raises(ValueError, match="needs --out FOLDER, a new one for the pictures of photos at 16 x 16"):
        cli.prepare(data_config, "photos")
    with pytest.raises(ValueError, match="--out is not for landscapes: their folder is in that of --config.data.dir"):
        cli.prepare(data_config, None, tmp_path / "out")
