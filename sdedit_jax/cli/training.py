"""The modes that make models: train and convert."""

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ml_collections import ConfigDict

from sdedit_jax.cli.models import bind_edit, bind_sample, keep_compiled, tell_about
from sdedit_jax.cli.results import check_writable, require_positive

if TYPE_CHECKING:
    import numpy as np
    import optax

    from sdedit_jax.data.pipeline import RandomAccessSource
    from sdedit_jax.losses import DenoisingScoreMatching
    from sdedit_jax.training import Schedule

NUM_PICTURES = 8  # held-out pictures whose simulated strokes are edited at intervals, and samples


@dataclasses.dataclass(frozen=True)
class _Run:
    """A training run that could start now: everything it needs was found and checked."""

    config: ConfigDict
    """That of the request, with the model and SDE that the run starts from."""
    source: "RandomAccessSource"
    x_validation: "np.ndarray"
    num_held_out: int
    loss_fn: "DenoisingScoreMatching"
    tx: "optax.GradientTransformation"
    schedule: "Schedule"
    params: Any
    num_microbatches: int
    device_batch_size: int
    """Pictures that a device computes at a time."""


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains the model of the config in `workdir`, from its newest checkpoint on."""
    check_writable(workdir)
    run = _ready(config, workdir)
    import jax

    from sdedit_jax import checkpoints, keys, training
    from sdedit_jax.data import pipeline
    from sdedit_jax.strokes import simulate_strokes

    config, settings = run.config, run.config.training
    model, sde = run.loss_fn.model, run.loss_fn.sde
    sample = bind_sample(config, model, sde, config.data.image_size)
    watched = training.Watched(
        run.x_validation,
        simulate_strokes(run.x_validation[:NUM_PICTURES]),
        edit=bind_edit(config, model, sde),
        sample=lambda params, key: sample(params, keys.split(key, NUM_PICTURES)),
        batch_size=run.device_batch_size,
    )
    lock = checkpoints.locked(workdir) if jax.process_index() == 0 else contextlib.nullcontext()
    with checkpoints.explained(workdir), lock:
        _write_config(config, workdir)
        state = training.train(
            workdir,
            loss_fn=run.loss_fn,
            tx=run.tx,
            ema_decay=settings.ema_decay,
            num_microbatches=run.num_microbatches,
            max_skipped_steps=settings.max_skipped_steps,
            schedule=run.schedule,
            seed=config.seed,
            batches_from=lambda step: pipeline.train_batches(
                run.source,
                batch_size=settings.batch_size,
                seed=config.seed,
                start_step=step,
                flip=config.data.random_flip,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            ),
            watched=watched,
            params=run.params,
            tensorboard=settings.tensorboard,
            shard_state=settings.shard_state,
        )
    print(f"Trained to step {int(state.step)}: {workdir.resolve()}")
    with checkpoints.Checkpointer(workdir) as checkpointer:
        if (best := checkpointer.best_step()) is not None:
            print(f"Lowest validation loss of the steps that were looked at: {workdir / 'checkpoints' / str(best)}")


def dry_run(config: ConfigDict, workdir: Path | None) -> None:
    """Prints what training would need and do, after all the checks that it makes, and writes nothing."""
    run = _ready(config, workdir)
    import jax

    from sdedit_jax.training.estimate import estimate

    settings, num_pictures = run.config.training, len(run.source)
    found = estimate(
        run.loss_fn,
        run.tx,
        settings.ema_decay,
        run.num_microbatches,
        batch_size=settings.batch_size,
        image_size=config.data.image_size,
        shard_state=settings.shard_state,
    )
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"Devices:  {devices}, {jax.process_count()} processes, {run.device_batch_size} pictures a device at a time")
    print(f"Network:  {found.num_params:,} parameters")
    gigabytes = [f"{num_bytes / 1e9:.2f} GB" for num_bytes in (found.state_bytes, found.step_bytes)]
    print(f"Memory:   {gigabytes[0]} of state and pictures on a device, and {gigabytes[1]} for a step")
    print(f"Pictures: {num_pictures:,} to train on, {run.num_held_out:,} held out")
    print(f"Epoch:    {num_pictures / settings.batch_size:,.1f} steps of {settings.batch_size} pictures")
    epochs = settings.num_steps * settings.batch_size / num_pictures
    print(f"Run:      {settings.num_steps:,} steps, {epochs:,.1f} epochs")


def _ready(config: ConfigDict, workdir: Path | None) -> _Run:
    """The run of the config; ValueError for whatever would keep it from starting or going on in `workdir`."""
    require_positive(config.training, ("batch_size", "max_skipped_steps", "num_validation"))
    require_positive(config.editing, ("num_steps", "num_repeats"))
    require_positive(config.sampling, ("num_steps",))
    keep_compiled()
    config, params = _start(config, workdir)
    settings = config.training
    import jax

    from sdedit_jax import build, training
    from sdedit_jax.data import pipeline

    share, rest = divmod(settings.batch_size, jax.device_count())
    if rest:
        raise ValueError(
            f"batch_size must be a multiple of the {jax.device_count()} devices, got {settings.batch_size}."
        )
    num_microbatches = _num_parts(share, settings.device_batch_size)
    schedule = training.Schedule(
        settings.num_steps, settings.log_every, settings.checkpoint_every, settings.sample_every
    )
    loss_fn, tx = build.build_loss(config), build.build_optimizer(config)
    build.build_solver(config)
    folder = _data_folder(config)
    source = pipeline.open_source(folder, "train", config.data.image_size, config.data.fit)
    held_out = pipeline.open_source(folder, "validation", config.data.image_size, config.data.fit)
    x_validation = next(pipeline.eval_batches(held_out, settings.num_validation))
    if x_validation.shape[1:3] != (config.data.image_size,) * 2:
        raise ValueError(
            f"config.data.image_size is {config.data.image_size} but the pictures in {folder} are "
            f"{x_validation.shape[2]} x {x_validation.shape[1]} pixels."
        )
    return _Run(
        config,
        source,
        x_validation,
        len(held_out),
        loss_fn,
        tx,
        schedule,
        params,
        num_microbatches,
        share // num_microbatches,
    )


def _num_parts(share: int, most: int | None) -> int:
    """In how many equal parts a device computes its `share` of a batch, with at most so many pictures each."""
    if most is None:
        return 1
    if most < 1:
        raise ValueError(f"device_batch_size must be 1 or more, got {most}.")
    return next(number for number in range(1, share + 1) if share % number == 0 and share // number <= most)


def _start(config: ConfigDict, workdir: Path | None) -> tuple[ConfigDict, Any]:
    """The config with the model that the run is of, and the parameters it starts from, None for fresh ones.

    With `config.training.init_from` the model is that of the source; a run that has begun has it in its folder.
    """
    from sdedit_jax import trees, weights

    begun = _begun(workdir)
    params = None
    source = config.training.init_from
    if source:
        described = begun
        if described is None:
            loaded = weights.load(source, assuming=config)
            tell_about(source, loaded)
            described, params = loaded.config, loaded.params
        config = ConfigDict(config.to_dict() | {name: described[name] for name in weights.DESCRIPTION})
    if begun is not None:
        wanted = trees.tuples(config.to_dict())
        for name in weights.DESCRIPTION:
            if begun[name] != wanted[name]:
                raise ValueError(
                    f"{workdir} holds the run of another model, with config.{name} = {begun[name]} instead of "
                    f"{wanted[name]}. Choose another --workdir, or the config of that run."
                )
    return config, params


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


def _write_config(config: ConfigDict, workdir: Path) -> None:
    """Writes it once; ValueError in a process that does not find it then, because the folder is another one there."""
    from sdedit_jax import checkpoints, distributed

    if distributed.is_first():
        checkpoints.write_config(workdir, config.to_dict())
    distributed.wait_for_all()
    if "config.json" not in {path.name for path in workdir.iterdir()}:  # a listing, as files that are new may be unseen
        raise ValueError(f"The processes do not share {workdir}: --workdir must be one folder that all hosts see.")


def _begun(workdir: Path | None) -> dict[str, Any] | None:
    """The config of the run in `workdir`, None if there is none with a checkpoint."""
    from sdedit_jax import checkpoints

    if workdir is None or not (workdir / "checkpoints").is_dir():
        return None
    with checkpoints.Checkpointer(workdir) as checkpointer:
        return None if checkpointer.latest_step() is None else checkpoints.read_config(workdir)
