"""The floors of the package: a module imports only from below, so the folder list reads as the paper does."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sdedit_jax"

# From the ground up; each floor is a row of rooms, and a room a module, a folder or, on the first floor, a few modules.
FLOORS = [
    [{"keys", "pixels", "sdes", "solvers", "trees"}, {"models"}],  # mathematics | networks: neither knows the other
    [{"score"}],
    [{"editing"}, {"losses"}, {"parallel"}, {"sampling"}, {"strokes"}, {"tuning"}],  # methods: arrays in, arrays out
    [{"build"}],
    [{"disk"}, {"distributed"}],
    # doors: each hides one part of the outside world
    [{"checkpoints"}, {"data"}, {"images"}, {"interrupts"}, {"metrics"}, {"sheets"}, {"weights"}],
    [{"baselines"}],
    [{"evaluation"}, {"survey"}, {"training"}],
    [{"cli"}],
]
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for room in floor for name in room}
ROOM_OF = {name: room for floor in FLOORS for room in floor for name in room}
# Doors that are one: a training folder is a place where weights come from, a folder of pictures a data set, and the
# networks that metrics look through are published weights too.
EXCEPTIONS = {("weights", "checkpoints"), ("data", "images"), ("metrics", "weights")}
BELOW_CONFIG = sorted(name for name, floor in FLOOR_OF.items() if floor < FLOOR_OF["build"])


def files(name):
    """The files of a module or folder of the package."""
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]


def imports(source):
    """The modules directly below the package that `source` imports, anywhere in it; "" for the package alone."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {(name.split(".") + [""])[1] for name in names if name.split(".")[0] == "sdedit_jax"}
    return found


def may_import(name, other):
    return FLOOR_OF[other] < FLOOR_OF[name] or other in ROOM_OF[name] or (name, other) in EXCEPTIONS


def test_imports_are_found_wherever_they_hide():
    source = "import sdedit_jax\nfrom sdedit_jax import images, sheets\ndef f():\n    from sdedit_jax.data.x import y\n"
    assert imports(source + "import sdedit_jax.sdes as s, os\nfrom jax import numpy") == {
        "",
        "images",
        "sheets",
        "data",
        "sdes",
    }


def test_the_rule_can_be_broken():
    assert not may_import("sdes", "score") and not may_import("sheets", "images") and not may_import("models", "sdes")
    assert may_import("solvers", "sdes") and may_import("score", "sdes") and may_import("cli", "sdes")


def test_every_module_has_a_floor():
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert entries - {"__init__"} == set(FLOOR_OF)


@pytest.mark.parametrize("name", sorted(FLOOR_OF))
def test_a_module_imports_only_from_below(name):
    found = {(path, other) for path in files(name) for other in imports(path.read_text(encoding="utf-8"))}
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}" for path, other in found if other and not may_import(name, other)
    ]
    assert not wrong
    # The package itself hands out names from every floor: only a face may ask it.
    assert FLOOR_OF[name] == FLOOR_OF["cli"] or "" not in {other for _, other in found}


def test_the_package_itself_imports_nothing():
    assert not imports((PACKAGE / "__init__.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BELOW_CONFIG)
def test_config_stops_at_the_door(name):
    for path in files(name):
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        names = [token.string for token in tokens if token.type == tokenize.NAME]  # docstrings may speak of configs
        assert names and not [word for word in names if "config" in word.lower() or word == "ml_collections"], path


@pytest.mark.parametrize(
    "module",
    [
        "sdedit_jax",
        "sdedit_jax.cli",
        "sdedit_jax.disk",
        "sdedit_jax.distributed",
        "sdedit_jax.images",
        "sdedit_jax.survey",
    ],
)
def test_importing_it_does_not_import_jax(module):
    code = f"import sys, {module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
