"""The flags and the config file, and the one request that they make.

A config is a file or the name of a shipped one, with one of its forms behind a colon if it has several;
``--config.x.y=VALUE`` overrides a field of it, and a plain flag wins over both.
"""

import dataclasses
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from absl import flags
from ml_collections import ConfigDict, config_flags

DEFAULT_CONFIG = "landscapes"
# In the repository the configs lie beside the package, in a wheel inside it.
CONFIG_FOLDERS = (Path(__file__).parents[2] / "configs", Path(__file__).parents[1] / "configs")

MODES = {
    "edit": "turns painted pictures into realistic ones (--guide, else the shipped examples) and writes them to --out",
    "sample": "draws pictures from nothing and writes them to --out",
    "sweep": "edits each guide at many t0 (rows) with several seeds (columns), on one sheet, and measures L2",
    "strokes": "paints the photograph --source, or those of a folder, as a person would, and writes guides to --out",
    "prepare": "makes the data set --source, or that of the config, ready in --out at the size of the config",
    "train": "trains the model of the config in --workdir, from its newest checkpoint on",
    "convert": "writes the model --source as --out, NAME.safetensors, or without an ending a diffusers folder",
    "evaluate": "edits held-out pictures in all the ways of the paper, measures them, writes a report into --out",
    "survey": "makes the pages of a survey, --out, in which people compare the pictures of the methods in --source",
    "survey_results": "counts what the raters of the survey --source prefer, and writes it into --out or there",
}
# The flags that mean something to each mode, besides --config, --config.x.y and --mode.
FLAGS_OF = {
    "edit": ("workdir", "out", "guide", "mask", "t0", "num_samples", "num_steps", "num_repeats", "seed"),
    "sample": ("workdir", "out", "num_samples", "num_steps", "seed"),
    "sweep": ("workdir", "out", "guide", "mask", "num_samples", "num_steps", "num_repeats", "seed", "target_l2"),
    "strokes": ("source", "out", "num_colors"),
    "prepare": ("source", "out"),
    "train": ("workdir", "seed", "init_from", "dry_run"),
    "convert": ("source", "out", "dtype"),
    "evaluate": ("workdir", "out", "t0", "num_steps", "num_repeats", "seed"),
    "survey": ("source", "out", "seed"),
    "survey_results": ("source", "out"),
}
MODES_OF_MANY = ("edit", "sample", "train", "evaluate")  # modes that several processes can share
FLAGS_OF |= {mode: (*FLAGS_OF[mode], "coordinator", "num_processes", "process_id") for mode in MODES_OF_MANY}
# The sections of the config that the flags are written into, where they have fields of these names.
SECTIONS_OF = {
    "edit": ("editing",),
    "sample": ("sampling",),
    "sweep": ("editing", "sweep"),
    "strokes": ("strokes",),
    "evaluate": ("editing",),
}

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, f"A config file or the name of a shipped one, and :FORM if it has forms; else {DEFAULT_CONFIG}."
)
_MODE = flags.DEFINE_enum("mode", "edit", list(MODES), "What to do.")
_FLAGS = {
    flag.name: flag
    for flag in (
        flags.DEFINE_string("out", None, "Folder of the results, 'out' if not given; prepare, convert: what to write."),
        flags.DEFINE_string(
            "workdir", None, "Folder of a run: where train writes, and what edit, sample, sweep and evaluate use."
        ),
        flags.DEFINE_string(
            "guide", None, "Picture, [mask, image] .pth file, or folder, to edit. X_mask.png beside X.png is its mask."
        ),
        flags.DEFINE_string(
            "mask", None, "Picture, or folder of the guides' names, for all guides; white = may change."
        ),
        flags.DEFINE_float("t0", None, "In (0, 1]: a small one keeps to the guide, a large one is more realistic."),
        flags.DEFINE_integer("num_samples", None, "Candidates for each guide, or pictures to sample."),
        flags.DEFINE_integer("num_steps", None, "Solver steps from t0, or from noise, to a picture."),
        flags.DEFINE_integer("num_repeats", None, "How often the edit is repeated on its own result."),
        flags.DEFINE_float(
            "target_l2", None, "How far, in L2, the edit may be from its guide: sweep finds the t0 for it."
        ),
        flags.DEFINE_integer("num_colors", None, "Of the strokes, 2 to 256; the paper paints with 6."),
        flags.DEFINE_integer("seed", None, "The same seed and settings make the same pictures.", 0, 2**32 - 1),
        flags.DEFINE_string(
            "source",
            None,
            "Model to convert: a file, a training or diffusers folder, an address, or a known name; data set to "
            "prepare: a folder, a file, or a name that TFDS knows; pictures of methods, or a survey's folder; "
            "photographs to paint strokes of.",
        ),
        flags.DEFINE_string(
            "init_from", None, "Model that training starts from: a name, file, folder or address, as for --source."
        ),
        flags.DEFINE_bool("dry_run", False, "Say what training would need and do, and end."),
        flags.DEFINE_string(
            "coordinator", None, "HOST:PORT of process 0, where nothing else tells the processes of each other."
        ),
        flags.DEFINE_integer("num_processes", None, "Of the run; 1: this one is alone, whatever started it."),
        flags.DEFINE_integer("process_id", None, "Of this process, 0 to num_processes - 1."),
        flags.DEFINE_enum("dtype", "float32", ["float32", "float16", "bfloat16"], "What convert stores weights as."),
    )
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    mode: str
    config: ConfigDict
    """The config with the plain flags written into it."""
    out: str | None
    workdir: str | None
    source: str | None
    dtype: Literal["float32", "float16", "bfloat16"]
    dry_run: bool
    coordinator: str | None
    num_processes: int | None
    process_id: int | None


def resolve_config(argv: list[str]) -> list[str]:
    """`argv` with ``--config=FILE[:FORM]`` in front of all other flags; ValueError for what does not exist.

    config_flags wants to know the file before its fields, and nothing of names; a wrong form would be a traceback.
    """
    name, others, rest = DEFAULT_CONFIG, [], iter(argv[1:])
    for argument in rest:
        if argument in ("--config", "-config"):
            name = next(rest, "")
        elif argument.startswith(("--config=", "-config=")):
            name = argument.split("=", 1)[1]
        else:
            others.append(argument)
    return [argv[0], f"--config={_config_file(name)}", *others]


def parse(argv: list[str]) -> list[str]:
    """The arguments that are not flags, after reading those that are; ValueError, of one sentence, for a bad one."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        raise ValueError(f"{str(error).rstrip('.')}. --help lists the flags.") from error
    except (AttributeError, LookupError) as error:
        what = str(error).strip('"')
        raise ValueError(f"The config has no such field: {what}. configs/default.py lists all of them.") from error


def request(argv: list[str]) -> Request:
    """The request of the flags that `parse` has read; `argv` is what it returned. ValueError for what fits no mode."""
    mode, config = _MODE.value, _CONFIG.value
    if len(argv) > 1:
        raise ValueError(f"Every argument is a flag, --NAME VALUE, but this is none: {' '.join(argv[1:])}.")
    if not isinstance(config, ConfigDict):
        raise ValueError("The config file has no get_config() that returns a ConfigDict.")
    for name, flag in _FLAGS.items():
        if flag.present and name not in FLAGS_OF[mode]:
            takes = ", ".join(f"--{other}" for other in FLAGS_OF[mode]) or "none but --config"
            raise ValueError(f"--{name} means nothing in --mode {mode}, whose flags are {takes}.")
    values: dict[str, Any] = {name: flag.value for name, flag in _FLAGS.items()}
    sections: list[Any] = [config[name] for name in SECTIONS_OF.get(mode, ())]
    for section in sections:
        for name in section:
            if values.get(name) is not None:
                section[name] = values[name]
    if values["seed"] is not None:
        config.seed = values["seed"]
    if values["init_from"] is not None:
        config.training.init_from = values["init_from"]
    if mode in SECTIONS_OF and values["workdir"]:
        config.weights = values["workdir"]
    return Request(mode, config, *(values[field.name] for field in dataclasses.fields(Request)[2:]))


def help_text() -> str:
    """What --help prints: the modes and the flags."""
    modes = [f"  --mode {name:14} {text}" for name, text in MODES.items()]
    listed = flags.FLAGS.module_help(__name__).splitlines()[2:]
    return "\n".join(["Modes:", *modes, "", "Flags:", *listed, "", f"Configs: {', '.join(sorted(_shipped_configs()))}"])


def register_configs() -> None:
    """Makes the shipped configs importable as `configs`, so that a config anywhere can start from the default one."""
    folder = next(folder for folder in CONFIG_FOLDERS if (folder / "default.py").is_file())
    _load_module("configs", folder / "__init__.py", submodule_search_locations=[str(folder)])


def _config_file(argument: str) -> str:
    """The file of a config, with its form as config_flags takes it."""
    shipped = _shipped_configs()
    name, form = _split_form(argument)
    if not Path(name).is_file() and name not in shipped:
        raise ValueError(f"There is no config {name!r}: give a file, or one of {', '.join(sorted(shipped))}.")
    path = Path(name) if Path(name).is_file() else shipped[name]
    if form is None:
        return str(path)
    _check_form(path, form)
    return f"{path}:{form}"


def _split_form(argument: str) -> tuple[str, str | None]:
    """Name and form, None for no form; the colon of a Windows drive is part of the name."""
    name, colon, form = argument.rpartition(":")
    if not colon or Path(argument).is_file() or "/" in form or "\\" in form:
        return argument, None
    return name, form


def _check_form(path: Path, form: str) -> None:
    """ValueError, from the config itself if it has forms, unless it has this one."""
    get_config = getattr(_load_module("config_with_forms", path), "get_config", None)
    if get_config is None or not inspect.signature(get_config).parameters:
        raise ValueError(f"The config {path.stem} has no forms, so nothing like :{form} may follow its name.")
    get_config(form)


def _load_module(name: str, path: Path, **options: Any) -> ModuleType:
    """The module in `path`, importable as `name` from now on."""
    spec = importlib.util.spec_from_file_location(name, path, **options)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file, which a config is.")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _shipped_configs() -> dict[str, Path]:
    return {path.stem: path for folder in CONFIG_FOLDERS for path in folder.glob("*.py") if path.stem != "__init__"}
