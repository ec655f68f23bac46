"""The mode convert: a model as a file or folder for others."""

from pathlib import Path
from typing import Literal

from ml_collections import ConfigDict

from sdedit_jax.cli.models import tell_about
from sdedit_jax.cli.results import check_writable


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
