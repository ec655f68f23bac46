"""The folder of a training run: what was begun there, and whether a request goes on with that."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from sdedit_jax.cli.results import require_shared


@dataclasses.dataclass(frozen=True)
class Begun:
    """A run of which there is a checkpoint; `config` is that of its last start, with `num_pictures` besides."""

    workdir: Path
    config: dict[str, Any]


def begun(workdir: Path | None) -> Begun | None:
    """The run in `workdir`, None if none has begun there."""
    from sdedit_jax import checkpoints, weights

    if workdir is None or not (workdir / "checkpoints").is_dir():
        return None
    with checkpoints.Checkpointer(workdir) as checkpointer:
        if checkpointer.latest_step() is None:
            return None
    config = checkpoints.read_config(workdir)
    for name in weights.DESCRIPTION:
        if name not in config:
            raise checkpoints.CheckpointError(
                f"{workdir / 'config.json'} does not describe the run whose checkpoints are there: it has no {name!r}. "
                "Put back the one of that run, or choose another --workdir."
            )
    return Begun(workdir, config)


def require_same_run(begun: Begun, config: ConfigDict) -> None:
    """ValueError unless `config` has the model, seed, origin and optimizer of the run, which it keeps to its end."""
    from sdedit_jax import trees, weights

    wanted = trees.tuples(config.to_dict())
    for name in weights.DESCRIPTION:
        if begun.config[name] != wanted[name]:
            raise ValueError(
                f"{begun.workdir} holds the run of another model, with config.{name} = {begun.config[name]} instead of "
                f"{wanted[name]}. Choose another --workdir, or the config of that run."
            )
    settings, wanted_settings = begun.config.get("training", {}), wanted["training"]  # the first runs noted no settings
    for flag, found, want in (
        ("seed", begun.config.get("seed", wanted["seed"]), wanted["seed"]),
        ("init_from", settings.get("init_from", ""), wanted_settings["init_from"]),
    ):
        if found != want:
            raise ValueError(
                f"{begun.workdir} holds a run that began with --{flag} {found or repr(found)}, which it keeps, but "
                f"{want or repr(want)} is asked for. Give the same, or choose another --workdir."
            )
    found, want = (each.get("muon_learning_rate", 0.0) for each in (settings, wanted_settings))
    if bool(found) != bool(want):  # their states have nothing in common
        raise ValueError(
            f"{begun.workdir} holds a run with config.training.muon_learning_rate = {found}, which cannot go on with "
            f"{want}: Muon and Adam keep different states. Give the rate there was, or begin another run, "
            f"with --init_from {begun.workdir} and another --workdir."
        )


def require_same_pictures(begun: Begun, num_pictures: Mapping[str, int]) -> None:
    """ValueError if the data set, with so many pictures by split, cannot be the one that the run began with."""
    known = begun.config.get("num_pictures", num_pictures)  # which the first runs did not note
    if known != num_pictures:
        there, here = (f"{number['train']} and {number['validation']}" for number in (known, num_pictures))
        raise ValueError(
            f"The run in {begun.workdir} began with {there} pictures for training and validation, but "
            f"config.data.source has {here} now: pictures that were held out would be trained on. Bring those pictures "
            f"back, or begin another run, with --init_from {begun.workdir} and another --workdir."
        )


def tell_changes(begun: Begun, config: ConfigDict) -> None:
    """Prints which fields of the data and of training are others than at the last start."""
    from sdedit_jax import trees

    wanted = trees.tuples(config.to_dict())
    for section in ("data", "training"):
        before = begun.config.get(section, {})
        for name, value in wanted[section].items():
            if name in before and before[name] != value:
                print(f"Changed: config.{section}.{name} = {value} instead of {before[name]}")


def write_config(config: ConfigDict, num_pictures: Mapping[str, int], workdir: Path) -> None:
    """Writes it once; ValueError in a process that does not find it then, because the folder is another one there."""
    from sdedit_jax import checkpoints, distributed

    if distributed.is_first():
        checkpoints.write_config(workdir, config.to_dict() | {"num_pictures": dict(num_pictures)})
    distributed.wait_for_all()
    require_shared(workdir, "config.json", "--workdir")
