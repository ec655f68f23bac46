"""The mode sweep: one guide, many t0."""

import json

import numpy as np
import pytest

from sdedit_jax import cli, images, metrics
from sdedit_jax.cli import models
from tests.cli.tiny import SIZE, corner, names, run_edit, write_guide, write_mask

T0S = (0.2, 0.5, 0.9)


@pytest.fixture
def sweep_config(config, tmp_path):
    config.editing.guide = str(write_guide(tmp_path / "hut.png"))
    config.sweep.t0s, config.sweep.num_samples = T0S, 2
    return config


def test_a_sweep_measures_the_candidates_of_edit_at_every_t0(sweep_config, out, tmp_path, capsys):
    cli.sweep(sweep_config, out)
    assert names(out) == ["hut_sweep.json", "hut_sweep.png"] and str(out) in capsys.readouterr().out
    fields = json.loads((out / "hut_sweep.json").read_text())
    assert images.read_settings(out / "hut_sweep.png") == fields and "chosen" not in fields
    assert [(edit["t0"], edit["candidate"]) for edit in fields["edits"]] == [(t0, i) for t0 in T0S for i in range(2)]
    x_guide = images.load_image(tmp_path / "hut.png")
    for t0 in T0S:
        run_edit(sweep_config, tmp_path / f"{t0}", t0=t0)
        candidates = [images.load_image(tmp_path / f"{t0}" / f"hut_0{i}.png") for i in range(2)]
        expected = metrics.l2(np.stack(candidates), np.stack([x_guide] * 2))
        found = [edit["l2"] for edit in fields["edits"] if edit["t0"] == t0]
        # The file holds bytes: each of its values is off by at most half of one.
        np.testing.assert_allclose(found, expected, atol=0.5 / 255 * np.sqrt(3) * SIZE)
    # Four rows, of the guide and of each t0, each of a caption and pictures enlarged to 128 pixels.
    assert images.load_image(out / "hut_sweep.png").shape[0] == 8 + 4 * (18 + 128 + 8)


def test_a_sweep_in_small_batches_is_the_same(sweep_config, out, tmp_path, monkeypatch):
    write_mask(tmp_path / "hut_mask.png", corner())
    cli.sweep(sweep_config, out)
    monkeypatch.setattr(models, "CPU_PIXELS", 2 * SIZE**2)
    cli.sweep(sweep_config, tmp_path / "small")
    whole, small = (json.loads((path / "hut_sweep.json").read_text()) for path in (out, tmp_path / "small"))
    assert whole["editing"]["mask"] == str(tmp_path / "hut_mask.png")
    for name in ("t0", "candidate", "l2"):
        first, second = ([edit[name] for edit in fields["edits"]] for fields in (whole, small))
        np.testing.assert_allclose(first, second, rtol=1e-5)  # float32 sums in another order
    np.testing.assert_allclose(
        images.load_image(out / "hut_sweep.png"),
        images.load_image(tmp_path / "small" / "hut_sweep.png"),
        atol=2.1 / 255,  # a byte
    )


def test_a_target_finds_a_t0(sweep_config, out, capsys):
    cli.sweep(sweep_config, out)
    edits = json.loads((out / "hut_sweep.json").read_text())["edits"]
    near, far = (edit["l2"] for edit in edits if edit["candidate"] == 0 and edit["t0"] in (0.2, 0.5))
    sweep_config.sweep.target_l2 = (near + far) / 2
    cli.sweep(sweep_config, out)
    fields = json.loads((out / "hut_sweep.json").read_text())
    assert 0.2 < fields["chosen"]["t0"] < 0.5 and near < fields["chosen"]["l2"] <= sweep_config.sweep.target_l2
    assert f"t0 = {fields['chosen']['t0']:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("sweep", {"t0s": (0.5, 0.0)}, r"t0s must be in \(0, 1\] .*, got \(0.5, 0.0\)"),
        ("sweep", {"t0s": ()}, r"t0s must be in \(0, 1\]"),
        ("sweep", {"num_samples": 0}, "num_samples must be 1 or more, got 0"),
        ("sweep", {"target_l2": -1.0}, "target_l2 must be more than 0, got -1.0"),
        ("sweep", {"target_l2": 1e-5}, "hut.png: No t0 keeps the edit within an L2 of 1e-05"),
        ("editing", {"num_steps": 0}, "num_steps must be 1 or more, got 0"),
        ("editing", {"guide": "nope.png"}, "nope.png cannot be opened"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(sweep_config, out, section, settings, message):
    sweep_config[section].update(settings)
    with pytest.raises(ValueError, match=message):
        cli.sweep(sweep_config, out)
    assert not out.parent.exists()


def test_results_do_not_join_the_guides(sweep_config, tmp_path):
    write_guide(tmp_path / "guides" / "a.png")
    write_guide(tmp_path / "guides" / "b.png")
    sweep_config.editing.guide = str(tmp_path / "guides")
    with pytest.raises(ValueError, match="guides is the folder of the guides"):
        cli.sweep(sweep_config, tmp_path / "guides")
