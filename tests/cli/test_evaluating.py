"""An evaluation by one command: real metrics of a small model's edits, and what is wrong is said before it edits."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from sdedit_jax import cli
from sdedit_jax.baselines import blending
from sdedit_jax.weights import native
from tests.cli.tiny import MODEL, names, pixels, random_params
from tests.processes import holding

SIZE = 32  # the least that LPIPS takes
KID, L2 = "KID (VGG16 relu5_3, 32 px)", "L2 (32 px)"


@pytest.fixture
def evaluated(config, tmp_path):
    """The config of an evaluation on 60 pictures, of which 6 are held out and 5 are wanted."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        picture = Image.fromarray(pixels(4, 4, seed=number)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:02d}.png")
    description = MODEL | {"data": {"image_size": SIZE}}
    native.save(tmp_path / "tiny.safetensors", random_params(), description)
    config.weights, config.data.source, config.data.image_size = str(tmp_path / "tiny.safetensors"), str(folder), SIZE
    config.evaluation.update(
        split="validation",
        experiments=("synthesis", "compositing"),
        baselines=("guide", "poisson"),
        networks=("vgg16@32",),
        gan="",
        num_images=5,
        num_real=6,
        num_shown=2,
    )
    return config


def test_one_command_writes_rows_figures_and_a_page_and_goes_on_where_it_was(evaluated, out, capsys):
    cli.evaluate(evaluated, out)
    rows = json.loads((out / "results.json").read_text())
    tried = [(row["task"], row["method"]) for row in rows]
    assert tried == [("strokes", "sdedit"), ("strokes", "guide")] + [
        ("compositing", method) for method in ("sdedit", "guide", "poisson")
    ]
    for row in rows:
        assert row["count"] == 5 and row["num_real"] == 6 and row["seed"] == 0
        assert (row["t0"], row["num_steps"]) == ((0.4, 2) if row["method"] == "sdedit" else (None, None))
        assert np.isfinite(row[KID]["mean"]) and row[L2].keys() == {"mean", "std", "detail"}
        assert ("masked LPIPS (AlexNet, 32 px)" in row) == (row["task"] == "compositing")
    assert rows[1][L2]["mean"] == rows[3]["masked LPIPS (AlexNet, 32 px)"]["mean"] == 0.0 < rows[0][L2]["mean"]
    with (out / "results.csv").open(encoding="utf-8") as file:
        assert [float(row[f"{KID}, mean"]) for row in csv.DictReader(file)] == [row[KID]["mean"] for row in rows]
    assert names(out / "pictures" / "compositing") == ["guides", "poisson", "sdedit"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") >= 2 * len(rows) and "KID" in page and "VGG16" in page
    written = {path: path.stat().st_mtime_ns for path in (out / "rows").iterdir()}
    evaluated.evaluation.experiments = ("synthesis", "compositing", "t0")
    evaluated.evaluation.t0s = (0.4, 0.6)
    cli.evaluate(evaluated, out)
    again = json.loads((out / "results.json").read_text())
    assert len(again) == len(rows) + 1 and again[0]["experiments"] == ["synthesis", "t0"]
    assert again[0] == rows[0] | {"experiments": ["synthesis", "t0"]} and again[-1]["t0"] == 0.6
    joined = {path.name for path, time in written.items() if path.stat().st_mtime_ns != time}
    assert joined == {"strokes-6_sdedit_t0-0.4_steps-2_repeats-1_seed-0.json"}
    assert str(out) in capsys.readouterr().out
    evaluated.evaluation.num_images = 4
    with pytest.raises(ValueError, match="results of another .*pictures"):
        cli.evaluate(evaluated, out)


def test_a_folder_in_which_another_process_evaluates_is_refused(evaluated, out):
    with holding(out) as holder, pytest.raises(ValueError, match=f"Process {holder.pid} .* evaluates in {out}"):
        cli.evaluate(evaluated, out)


def test_what_is_there_when_it_is_interrupted_can_be_looked_at(evaluated, out, monkeypatch):
    evaluated.evaluation.experiments = ("compositing",)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(blending, "poisson_blend", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cli.evaluate(evaluated, out)
    rows = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in rows] == ["sdedit", "guide"]
    assert "VGG16" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_images": 0}, "num_images must be 1 or more"),
        ({"baselines": ("gan-1",)}, "gan-1 and gan-2 need config.evaluation.gan"),
        ({"experiments": ("fid",)}, "experiments are some of synthesis"),
        ({"t0s": (0.0,)}, r"t0s must be in \(0, 1\]"),
        ({"networks": ("resnet",)}, "A network is efficientnet_lite0@SIZE"),
        ({"split": "test"}, "test"),
        ({"split": "train"}, "must be held out"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_edited(evaluated, out, changed, message):
    evaluated.evaluation.update(changed)
    with pytest.raises(ValueError, match=message):
        cli.evaluate(evaluated, out)
    assert not (out / "rows").exists() and not (out / "edits").exists()


@pytest.mark.parametrize("field", ["num_images", "num_real"])
def test_too_few_pictures_for_the_metrics_are_told_of_before_hours_of_edits(evaluated, out, field):
    evaluated.evaluation[field] = 3
    with pytest.raises(ValueError, match="The metrics need 4 .* pictures or more, but there are 3"):
        cli.evaluate(evaluated, out)
    assert not out.exists()


def test_so_is_a_model_of_pictures_too_small_for_them(evaluated, out, model_file):
    evaluated.weights = str(model_file)
    with pytest.raises(ValueError, match="LPIPS needs pictures of 32 pixels or more, but the model's have 16"):
        cli.evaluate(evaluated, out)
