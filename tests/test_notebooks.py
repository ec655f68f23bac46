"""The notebooks run from their first cell to their last, as they are, with few steps on few pictures."""

import os
import sys
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from sdedit_jax import weights
from sdedit_jax.weights import native
from tests.cli.tiny import DDPM, random_params

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))
# Data sets hold out a tenth of themselves, and the metrics need four pictures of it.
NUM_PICTURES = 40
MODEL = {
    "model": DDPM | {"channel_mults": (1, 1)},
    "preconditioning": {"name": "edm", "sigma_data": 0.5},
    "sde": {"name": "ve", "sigma_min": 0.02, "sigma_max": 10.0},
    "data": {"image_size": 64},
}


@pytest.fixture
def pictures(tmp_path):
    """A folder of smooth pictures, larger than the model's."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(NUM_PICTURES):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 72), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def model(tmp_path):
    """A model that compiles in seconds, training included."""
    native.save(tmp_path / "small.safetensors", random_params(MODEL), MODEL)
    return tmp_path / "small.safetensors"


def run(name, folder, monkeypatch, **variables):
    """The notebook after its last cell, run in `folder` on one CPU device."""
    command = folder / "bin" / "sdedit"  # as it is installed, but that of this very tree
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/main.py" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SDEDIT_FAST", "1")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def printed(notebook):
    """All that the cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def shown(notebook):
    """The number of pictures that the cells showed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_in_step_with_its_source_and_has_no_outputs(source):
    """Else ``jupytext --to ipynb notebooks/NAME.py`` brings it there."""
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    written = jupytext.read(source)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in written.cells
    ]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 4 and not any(cell.outputs or cell.execution_count for cell in code)
    nbformat.validate(notebook)


def eight_edits(done, folder):
    assert shown(done) == 3 and "t0 = " in printed(done)
    assert len(list(folder.glob("mountain_lake_0?.png"))) == 8


def a_model(done, folder):
    assert "Trained to step 2" in printed(done) and shown(done) == 4
    assert weights.load(folder / "mine.safetensors").image_size == 64


def a_figure_and_a_report(done, folder):
    assert shown(done) == 2 and (folder / "trade_off" / "report.html").is_file()


LEAVES = {"edit_your_picture": eight_edits, "train_on_your_folder": a_model, "trade_off": a_figure_and_a_report}


def test_every_notebook_has_a_source_and_is_run():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {source.stem for source in SOURCES} == set(LEAVES)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_leaves_what_it_is_for(source, tmp_path, pictures, model, monkeypatch):
    done = run(source.stem, tmp_path, monkeypatch, SDEDIT_PICTURES=str(pictures), SDEDIT_MODEL=str(model))
    print(printed(done))  # for whoever reads a failure
    LEAVES[source.stem](done, tmp_path)
