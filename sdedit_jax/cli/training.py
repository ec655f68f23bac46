"""The mode train, and what it would need and do."""

import contextlib
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from sdedit_jax.cli import runs
from sdedit_jax.cli.models import bind_edit, bind_sample, data_folder, keep_compiled, tell_about
from sdedit_jax.cli.results import check_writable, require_positive

if TYPE_CHECKING:
    import numpy as np

    from sdedit_jax.data.pipeline import RandomAccessSource
    from sdedit_jax.training import Schedule, TrainStep
    from sdedit_jax.training.placement import Placement

NUM_PICTURES = 8  # held-out pictures whose simulated strokes are edited at intervals, and samples


@dataclasses.dataclass(frozen=True)
class _Run:
    """A training run that could start now: everything it needs was found and checked."""

    config: ConfigDict
    """That of the request, with the model and SDE that the run starts from."""
    source: "RandomAccessSource"
    x_validation: "np.ndarray"
    num_pictures: dict[str, int]
    """By split, those held out being validation."""
    train_step: "TrainStep"
    schedule: "Schedule"
    placement: "Placement"
    params: Any
    device_batch_size: int
    """Pictures that a device computes at a time."""


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains the model of the config in `workdir`, from its newest checkpoint on."""
    run = _ready(config, workdir)
    import jax

    from sdedit_jax import checkpoints, training
    from sdedit_jax.data import pipeline
    from sdedit_jax.strokes import simulate_strokes

    config, settings = run.config, run.config.training
    model, sde = run.train_step.loss_fn.model, run.train_step.loss_fn.sde
    watched = training.Watched(
        run.x_validation,
        simulate_strokes(run.x_validation[:NUM_PICTURES]),
        edit=bind_edit(config, model, sde),
        sample=bind_sample(config, model, sde, config.data.image_size),
        batch_size=run.device_batch_size,
    )
    lock = checkpoints.locked(workdir) if jax.process_index() == 0 else contextlib.nullcontext()
    with checkpoints.explained(workdir), lock:
        runs.write_config(config, run.num_pictures, workdir)
        state = training.train(
            workdir,
            run.train_step,
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
            placement=run.placement,
            tensorboard=settings.tensorboard,
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
        run.train_step,
        batch_size=settings.batch_size,
        image_size=config.data.image_size,
        placement=run.placement,
    )
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"Devices:  {devices}, {jax.process_count()} processes, {run.device_batch_size} pictures a device at a time")
    print(f"Network:  {found.num_params:,} parameters")
    gigabytes = [f"{num_bytes / 1e9:.2f} GB" for num_bytes in (found.state_bytes, found.step_bytes)]
    print(f"Memory:   {gigabytes[0]} of state and pictures on a device, and {gigabytes[1]} for a step")
    print(f"Pictures: {num_pictures:,} to train on, {run.num_pictures['validation']:,} held out")
    print(f"Epoch:    {num_pictures / settings.batch_size:,.1f} steps of {settings.batch_size} pictures")
    epochs = settings.num_steps * settings.batch_size / num_pictures
    print(f"Run:      {settings.num_steps:,} steps, {epochs:,.1f} epochs")


def _ready(config: ConfigDict, workdir: Path | None) -> _Run:
    """The run of the config; ValueError for whatever would keep it from starting or going on in `workdir`."""
    if workdir is not None:
        check_writable(workdir)
    _check_ranges(config)
    keep_compiled()
    begun = runs.begun(workdir)
    config, params = _start(config, begun)
    if begun is not None:
        runs.require_same_run(begun, config)
    settings = config.training
    import jax

    from sdedit_jax import build, training
    from sdedit_jax.training.placement import Placement
    from sdedit_jax.training.tensorboard import require_installed

    if settings.tensorboard:
        require_installed()
    share, rest = divmod(settings.batch_size, jax.device_count())
    if rest:
        raise ValueError(
            f"batch_size must be a multiple of the {jax.device_count()} devices, got {settings.batch_size}."
        )
    num_microbatches = _num_parts(share, settings.device_batch_size)
    schedule = training.Schedule(
        settings.num_steps,
        settings.log_every,
        settings.checkpoint_every,
        settings.sample_every,
        settings.max_skipped_steps,
    )
    loss_fn, tx = build.build_loss(config), build.build_optimizer(config)
    train_step = training.TrainStep(loss_fn, tx, settings.ema_decay, num_microbatches)
    build.build_solver(config)
    source, x_validation, num_pictures = _pictures(config)
    if begun is not None:
        runs.require_same_pictures(begun, num_pictures)
        runs.tell_changes(begun, config)
    return _Run(
        config=config,
        source=source,
        x_validation=x_validation,
        num_pictures=num_pictures,
        train_step=train_step,
        schedule=schedule,
        placement=Placement(shard_state=settings.shard_state),
        params=params,
        device_batch_size=share // num_microbatches,
    )


def _check_ranges(config: ConfigDict) -> None:
    """ValueError for a number that has no meaning, naming its field; other objects check theirs when they are made."""
    require_positive(config.training, ("batch_size", "num_validation"))
    require_positive(config.editing, ("num_steps", "num_repeats"))
    require_positive(config.sampling, ("num_steps",))
    settings, t0, muon_rate = config.training, config.editing.t0, config.training.muon_learning_rate
    for name, value, has_meaning, meaning in (
        ("seed", config.seed, 0 <= config.seed < 2**32, "in [0, 2^32)"),
        ("editing.t0", t0, 0.0 < t0 <= 1.0, "in (0, 1]"),
        ("training.learning_rate", settings.learning_rate, 0.0 <= settings.learning_rate < math.inf, "0 or more"),
        ("training.muon_learning_rate", muon_rate, 0.0 <= muon_rate < math.inf, "0 or more"),
        ("training.adam_b2", settings.adam_b2, 0.0 <= settings.adam_b2 < 1.0, "in [0, 1)"),
        ("training.warmup_steps", settings.warmup_steps, settings.warmup_steps >= 0, "0 or more"),
        ("training.cooldown_steps", settings.cooldown_steps, settings.cooldown_steps >= 0, "0 or more"),
        ("training.grad_clip", settings.grad_clip, settings.grad_clip > 0.0, "more than 0"),
    ):
        if not has_meaning:
            raise ValueError(f"config.{name} must be {meaning}, got {value}.")


def _pictures(config: ConfigDict) -> tuple["RandomAccessSource", "np.ndarray", dict[str, int]]:
    """The pictures to train on, those of `num_validation` that are held out, (B, H, W, C), and all by split."""
    from sdedit_jax.data import pipeline

    folder, size = data_folder(config), config.data.image_size
    source, held_out = (pipeline.open_source(folder, split, size, config.data.fit) for split in ("train", "validation"))
    x_validation = next(pipeline.eval_batches(held_out, config.training.num_validation))
    if x_validation.shape[1:3] != (size, size):
        raise ValueError(
            f"config.data.image_size is {size} but the pictures in {folder} are {x_validation.shape[2]} x "
            f"{x_validation.shape[1]} pixels."
        )
    return source, x_validation, {"train": len(source), "validation": len(held_out)}


def _num_parts(share: int, most: int | None) -> int:
    """In how many equal parts a device computes its `share` of a batch, with at most so many pictures each."""
    if most is None:
        return 1
    if most < 1:
        raise ValueError(f"device_batch_size must be 1 or more, got {most}.")
    return next(number for number in range(1, share + 1) if share % number == 0 and share // number <= most)


def _start(config: ConfigDict, begun: "runs.Begun | None") -> tuple[ConfigDict, Any]:
    """The config with the model that the run is of, and the parameters it starts from, None for fresh ones.

    With `config.training.init_from` the model is that of the source; a run that has begun has it in its folder.
    """
    from sdedit_jax import weights

    source = config.training.init_from
    if not source:
        return config, None
    if begun is not None:
        described, params = begun.config, None
    else:
        loaded = weights.load(source, assuming=config)
        tell_about(source, loaded)
        described, params = loaded.config, loaded.params
    return ConfigDict(config.to_dict() | {name: described[name] for name in weights.DESCRIPTION}), params
