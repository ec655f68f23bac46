"""The command line: one straight function for each mode.

`--help`, unknown flags, bad config fields and everything wrong with the pictures answer before JAX is imported; so the
modules that need it are imported inside the modes.
"""

import sys
import warnings
from pathlib import Path

from absl import app, logging

from sdedit_jax.cli import arguments
from sdedit_jax.cli.pictures import edit, sample
from sdedit_jax.cli.training import convert, prepare, train

__all__ = ["convert", "edit", "main", "prepare", "sample", "train"]


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
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _run(argv: list[str]) -> None:
    request = arguments.request(argv)
    out = Path(request.out or "out")
    match request.mode:
        case "edit":
            edit(request.config, out)
        case "sample":
            sample(request.config, out)
        case "prepare":
            prepare(request.config)
        case "train":
            if not request.workdir:
                raise ValueError(
                    "--mode train needs --workdir DIR, the folder of the run, for example runs/landscapes."
                )
            train(request.config, Path(request.workdir))
        case "convert":
            if not request.source or not request.out:
                raise ValueError("--mode convert needs --source MODEL and --out NAME.safetensors or FOLDER.")
            convert(request.config, request.source, out, request.dtype)
