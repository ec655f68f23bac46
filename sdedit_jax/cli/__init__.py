"""The command line: one straight function for each mode.

`--help`, unknown flags, bad config fields and everything wrong with the pictures answer before JAX is imported; so the
modules that need it are imported inside the modes.
"""

import sys
import warnings
from pathlib import Path

from absl import app, logging

from sdedit_jax import distributed
from sdedit_jax.cli import arguments
from sdedit_jax.cli.converting import convert
from sdedit_jax.cli.evaluating import evaluate
from sdedit_jax.cli.photographs import strokes
from sdedit_jax.cli.pictures import edit, sample
from sdedit_jax.cli.preparing import prepare
from sdedit_jax.cli.surveys import survey, survey_results
from sdedit_jax.cli.sweeping import sweep
from sdedit_jax.cli.training import dry_run, train

__all__ = [
    "convert",
    "dry_run",
    "edit",
    "evaluate",
    "main",
    "prepare",
    "sample",
    "strokes",
    "survey",
    "survey_results",
    "sweep",
    "train",
]


def main() -> None:
    """The console script `sdedit`, and `main.py`; what a user can mend is one sentence and a non-zero exit."""
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        print(
            f"{sys.argv[0]} --config CONFIG --mode MODE [--FLAG VALUE] [--config.x.y=VALUE]\n\n{arguments.help_text()}"
        )
        return
    arguments.register_configs()
    logging.set_verbosity(logging.ERROR)  # Orbax, Grain and TFDS report every file that they touch; -v=0 shows it
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        sys.argv = arguments.resolve_config(sys.argv)  # where config_flags looks for the overridden fields
        app.run(_run, flags_parser=arguments.parse)
    except (ValueError, OSError) as error:
        logging.debug("The error in full:", exc_info=True)
        distributed.leave(f"error: {error}")
    except KeyboardInterrupt:
        distributed.leave("interrupted")


def _run(argv: list[str]) -> None:
    request = arguments.request(argv)
    out = Path(request.out or "out")
    if request.mode in arguments.MODES_OF_MANY:
        distributed.initialize(request.coordinator, request.num_processes, request.process_id)
    match request.mode:
        case "edit":
            edit(request.config, out)
        case "sample":
            sample(request.config, out)
        case "sweep":
            sweep(request.config, out)
        case "strokes":
            strokes(request.config, request.source, out)
        case "prepare":
            prepare(request.config, request.source, Path(request.out) if request.out else None)
        case "train":
            workdir = Path(request.workdir) if request.workdir else None
            if request.dry_run:
                dry_run(request.config, workdir)
            elif workdir:
                train(request.config, workdir)
            else:
                raise ValueError(
                    "--mode train needs --workdir DIR, the folder of the run, for example runs/landscapes."
                )
        case "convert":
            if not request.source or not request.out:
                raise ValueError("--mode convert needs --source MODEL and --out NAME.safetensors or FOLDER.")
            convert(request.config, request.source, out, request.dtype)
        case "evaluate":
            evaluate(request.config, out)
        case "survey":
            survey(request.config, request.source, request.out)
        case "survey_results":
            survey_results(request.source, request.out)
