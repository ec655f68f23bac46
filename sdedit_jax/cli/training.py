"""The modes that make models: prepare, train and convert."""

import contextlib
import io
from pathlib import Path
from typing import Literal

from ml_collections import ConfigDict

from sdedit_jax.cli.models import bind_edit, tell_about
from sdedit_jax.cli.results import check_writable, require_positive

NUM_GUIDES = 8  # held-out pictures whose simulated strokes are edited at intervals


def prepare(config: ConfigDict) -> None:
    """Makes the data set of the config, unless it is there already."""
    if config.data.source != "landscapes":
        raise ValueError(f"config.data.source must be landscapes to be prepared, got {config.data.source!r}.")
    check_writable(Path(config.data.dir).expanduser())
    from sdedit_jax.data.landscapes.builder import prepare_landscapes

    with contextlib.redirect_stdout(io.StringIO()):  # TFDS says that it downloads
        folder = prepare_landscapes(config.data.dir, config.data.image_size)
    print(f"Data set: {folder}")


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains the model of the config in `workdir`, from its newest checkpoint on."""
    settings = config.training
    require_positive(settings, ("batch_size", "num_validation"))
    check_writable(workdir)
    import jax

    from sdedit_jax import build, checkpoints, training
    from sdedit_jax.data import pipeline
    from sdedit_jax.strokes import simulate_strokes

    if settings.batch_size % jax.device_count():
        raise ValueError(
            f"batch_size must be a multiple of the {jax.device_count()} devices, got {settings.batch_size}."
        )
    schedule = training.Schedule(
        settings.num_steps, settings.log_every, settings.checkpoint_every, settings.sample_every
    )
    loss_fn, tx = build.build_loss(config), build.build_optimizer(config)
    edit = bind_edit(config, loss_fn.model, loss_fn.sde)
    folder = _data_folder(config)
    source = pipeline.open_source(folder, "train", config.data.image_size)
    held_out = pipeline.open_source(folder, "validation", config.data.image_size)
    x_validation = next(pipeline.eval_batches(held_out, settings.num_validation))
    if x_validation.shape[1:3] != (config.data.image_size,) * 2:
        raise ValueError(
            f"config.data.image_size is {config.data.image_size} but the pictures in {folder} are "
            f"{x_validation.shape[2]} x {x_validation.shape[1]} pixels."
        )
    _check_same_model(config, workdir)
    checkpoints.write_config(workdir, config.to_dict())
    state = training.train(
        workdir,
        loss_fn=loss_fn,
        tx=tx,
        ema_decay=settings.ema_decay,
        schedule=schedule,
        seed=config.seed,
        batches_from=lambda step: pipeline.train_batches(
            source, batch_size=settings.batch_size, seed=config.seed, start_step=step, flip=config.data.random_flip
        ),
        held_out=training.HeldOut(x_validation, simulate_strokes(x_validation[:NUM_GUIDES]), edit),
    )
    print(f"Trained to step {int(state.step)}: {workdir.resolve()}")


def convert(config: ConfigDict, source: str, path: Path, dtype: Literal["float32", "float16", "bfloat16"]) -> None:
    """Writes the model `source` as a ``.safetensors`` file or a diffusers folder.

    `source` is anything that `weights.load` takes, and `config` what it may have to assume.
    """
    to_file = path.suffix == ".safetensors"
    if not to_file and path.suffix[1:].isalpha():
        raise ValueError(f"--out must be NAME.safetensors, or a new folder for diffusers, got {path}.")
    if path.is_dir() or (path.exists() and not to_file):
        raise ValueError(f"{path} is there already: give --out another name.")
    if not to_file and dtype != "float32":
        raise ValueError(f"--dtype {dtype} is for .safetensors files; a diffusers folder is float32.")
    check_writable(path.parent)
    from sdedit_jax import weights

    loaded = weights.load(source, assuming=config)
    tell_about(source, loaded)
    weights.export(loaded, path, dtype)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
    print(f"{size / 1e6:.1f} MB: {path.resolve()}")


def _data_folder(config: ConfigDict) -> Path:
    """The prepared data set of the config: the landscapes, or any TFDS folder given as `config.data.source`."""
    if config.data.source != "landscapes":
        return Path(config.data.source).expanduser()
    from sdedit_jax.data.landscapes.builder import landscapes_folder

    return landscapes_folder(config.data.dir, config.data.image_size)


def _check_same_model(config: ConfigDict, workdir: Path) -> None:
    """ValueError if `workdir` holds the run of another model, whose config would then be lost."""
    from sdedit_jax import checkpoints, trees

    if not (workdir / "checkpoints").is_dir():
        return
    with checkpoints.Checkpointer(workdir) as checkpointer:
        if checkpointer.latest_step() is None:
            return
    trained, wanted = checkpoints.read_config(workdir), trees.tuples(config.to_dict())
    for name in ("model", "preconditioning", "sde"):
        if trained[name] != wanted[name]:
            raise ValueError(
                f"{workdir} holds the run of another model, with config.{name} = {trained[name]} instead of "
                f"{wanted[name]}. Choose another --workdir, or the config of that run."
            )
