"""The mode prepare: a data set made ready for training, once."""

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from sdedit_jax.cli.results import check_writable

_MOST_NAMES = 10


def prepare(config: ConfigDict, source: str | None = None, folder: Path | None = None) -> None:
    """Makes the data set `source`, by default that of the config, ready in `folder`, and says how to train on it.

    `source` is a data set on disk, a name that TFDS knows, or landscapes, which go into `config.data.dir`.
    """
    data: Any = config.data
    source = source or str(data.source)
    if source != "landscapes":
        prepared = _convert(data, source, folder)
    elif folder is None:
        prepared = _render(data)
    else:
        raise ValueError("--out is not for landscapes: their folder is in that of --config.data.dir.")
    print(f"Data set: {prepared}\nTo train on it:\n  {training_command(sys.orig_argv, prepared)}")


def training_command(argv: Sequence[str], folder: Path) -> str:
    """What to give instead of `argv`, the command that prepared `folder`, to train on that."""
    kept, arguments = [], iter(argv)
    for argument in arguments:
        name, equals, _ = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name not in ("mode", "source", "out", "config.data.source"):
            kept.append(argument)
        elif not equals:
            next(arguments, None)  # the value stands apart
    training = ["--mode", "train", f"--config.data.source={folder}", "--workdir", f"runs/{folder.name}"]
    return shlex.join([*kept, *training])


def _convert(data: Any, source: str, folder: Path | None) -> Path:
    if folder is None:
        raise ValueError(
            f"--mode prepare needs --out FOLDER, a new one for the pictures of {source} at {data.image_size} x "
            f"{data.image_size}; --source PATH_OR_NAME chooses others."
        )
    check_writable(folder.expanduser())
    from sdedit_jax.data.preparing import prepare

    options = {name: data[name] for name in ("image_size", "fit", "max_corrupt")}
    try:
        prepared = prepare(source, folder, data_dir=data.dir, **options)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on with the shards that are finished")
    for sentence in prepared.skipped[:_MOST_NAMES]:
        print(f"Left out: {sentence}")
    if len(prepared.skipped) > _MOST_NAMES:
        print(f"... {len(prepared.skipped)} in all: {prepared.folder / 'prepared.json'}")
    print(", ".join(f"{number} pictures for {split}" for split, number in prepared.num_pictures.items()))
    return prepared.folder


def _render(data: Any) -> Path:
    check_writable(Path(data.dir).expanduser())
    from sdedit_jax.data.landscapes.builder import prepare_landscapes

    with contextlib.redirect_stdout(io.StringIO()):  # TFDS says that it downloads
        return prepare_landscapes(data.dir, data.image_size)
