"""The command line itself: `python main.py` as a user types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs import landscapes
from sdedit_jax.cli import arguments
from tests.cli.tiny import ROOT, corner, names, write_guide, write_mask


def test_a_config_is_found_by_name_or_as_a_file_and_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "configs" / "landscapes.py"
    (tmp_path / "mine.py").touch()
    for argv, expected in [
        ([], [f"--config={shipped}"]),
        (["--config", "landscapes"], [f"--config={shipped}"]),
        (["-config=landscapes", "--t0=1"], [f"--config={shipped}", "--t0=1"]),
        (["--config.seed=1", "--config=mine.py"], ["--config=mine.py", "--config.seed=1"]),
    ]:
        assert arguments.resolve_config(["main.py", *argv]) == ["main.py", *expected]
    shipped_names = ", ".join(sorted(path.stem for path in (ROOT / "configs").glob("[!_]*.py")))
    for missing in ("nope", "elsewhere/landscapes.py", "__init__", ""):
        message = f"There is no config {missing!r}: give a file, or one of {shipped_names}."
        for argument in (missing, f"{missing}:form"):
            with pytest.raises(ValueError, match=re.escape(message)):
                arguments.resolve_config(["main.py", "--config", argument])


FORMS = """
def get_config(form="oil"):
    if form not in ("oil", "ink"):
        raise ValueError(f"no {form}: oil, ink")
    return form
"""


def test_a_form_follows_the_config_behind_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "configs" / "lsun_bedroom.py"
    (tmp_path / "forms.py").write_text(FORMS)
    (tmp_path / "odd:name.py").write_text("def get_config():\n    return 1\n")
    (tmp_path / "C:").mkdir()
    (tmp_path / "C:" / "plain.py").touch()
    for argument, expected in [
        ("lsun_bedroom:ncsnpp", f"{shipped}:ncsnpp"),
        (f"{shipped}:ddpm", f"{shipped}:ddpm"),
        ("forms.py:ink", "forms.py:ink"),
        ("odd:name.py", "odd:name.py"),
        ("C:/plain.py", "C:/plain.py"),
    ]:
        assert arguments.resolve_config(["main.py", "--config", argument]) == ["main.py", f"--config={expected}"]
    for argument, message in [
        ("lsun_bedroom:vp", r"This config has no form 'vp': its forms are ddpm and ncsnpp\."),
        ("lsun_church:", r"This config has no form '': its forms are ddpm and ncsnpp\."),
        ("cifar10:x", r"no form 'x': its forms are ddpm, ddpmpp, ddpmpp_deep, ncsnpp and ncsnpp_deep\."),
        ("forms.py:chalk", "no chalk: oil, ink"),
        ("landscapes:ddpm", "The config landscapes has no forms, so nothing like :ddpm may follow its name"),
        ("C:/plain.py:ddpm", "The config plain has no forms"),
        (r"C:\\plain.py", r"There is no config 'C:\\+plain.py'"),
    ]:
        with pytest.raises(ValueError, match=message):
            arguments.resolve_config(["main.py", "--config", argument])


def test_shipped_configs_can_be_imported_as_configs(monkeypatch):
    monkeypatch.delitem(sys.modules, "configs")
    monkeypatch.delitem(sys.modules, "configs.default")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != ROOT])
    arguments.register_configs()
    from configs import default as found

    assert Path(found.__file__) == ROOT / "configs" / "default.py"


REQUEST = """
import dataclasses, json, sys
from sdedit_jax.cli import arguments
arguments.register_configs()
sys.argv = arguments.resolve_config(sys.argv)
request = arguments.request(arguments.parse(sys.argv))
fields = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
print(json.dumps(fields | {"config": request.config.to_dict()}))
"""


def request_of(*args):
    """The fields of the request that a command line makes."""
    command = [sys.executable, "-c", REQUEST, *args]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout)


def test_a_plain_flag_wins_over_the_config():
    given = {"guide": "g.png", "mask": "m.png", "t0": 0.3, "num_samples": 3, "num_steps": 7, "num_repeats": 2}
    plain = [f"--{name}={value}" for name, value in given.items()]
    request = request_of(
        "--config.editing.t0=0.9", *plain, "--seed=4", "--workdir=runs/x", "--config.sampling.num_steps=9"
    )
    assert request["mode"] == "edit" and request["out"] is None
    assert request["config"]["editing"] == given | {"examples": "landscapes"}
    assert request["config"]["seed"] == 4 and request["config"]["weights"] == "runs/x"
    assert request["config"]["sampling"]["num_steps"] == 9


def test_flags_mean_what_the_mode_makes_of_them():
    shipped = landscapes.get_config()
    request = request_of("--mode=sample", "--num_steps=7", "--num_samples=3", "--out=there")
    assert request["config"]["sampling"] == {"num_steps": 7, "num_samples": 3}
    assert request["config"]["editing"] == shipped.editing.to_dict() and request["out"] == "there"
    request = request_of("--mode=train", "--workdir=runs/x", "--config", "default")
    assert request["workdir"] == "runs/x" and request["config"]["weights"] == ""
    assert request_of("--config=cifar10:ncsnpp_deep", "--t0=0.2")["config"]["weights"] == "cifar10:ncsnpp_deep"
    request = request_of("--mode=sweep", "--num_samples=3", "--num_steps=7", "--target_l2=2.5")
    assert request["config"]["sweep"] == shipped.sweep.to_dict() | {"num_samples": 3, "target_l2": 2.5} | {
        "t0s": list(shipped.sweep.t0s)
    }
    assert request["config"]["editing"]["num_steps"] == 7
    request = request_of("--mode=strokes", "--num_colors=16")
    assert request["config"]["strokes"] == {"num_colors": 16, "size": 256}
    request = request_of("--mode=convert", "--source=a", "--out=b.safetensors", "--dtype=float16")
    assert (request["source"], request["out"], request["dtype"]) == ("a", "b.safetensors", "float16")


def run_main(*args, cwd):
    """Exit code, stdout, stderr and the imported modules of `python main.py ARGS`."""
    command = [sys.executable, "-X", "importtime", str(ROOT / "main.py"), *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "sdedit_jax.cli" in imported
    return done.returncode, done.stdout, [line for line in lines if not line.startswith("import time:")], imported


def test_help_names_every_mode_and_flag(tmp_path):
    code, stdout, stderr, imported = run_main("--help", cwd=tmp_path)
    assert code == 0 and not stderr and "jax" not in imported
    for mode, flag_names in arguments.FLAGS_OF.items():
        assert f"--mode {mode}" in stdout
        assert all(f"--{name}:" in stdout or f"--[no]{name}:" in stdout for name in flag_names)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--bogus", "1"], r"error: Unknown command line flag 'bogus'. --help lists the flags."),
        (["stray"], r"error: Every argument is a flag, --NAME VALUE, but this is none: stray."),
        (["--config.editing.x=1"], r"error: The config has no such field: 'x'. configs/default.py lists all of them."),
        (["--config.seed=a"], r"error: flag --config.seed=a: invalid literal .*"),
        (
            ["--config=nope"],
            r"error: There is no config 'nope': give a file, or one of .*, default, .*, landscapes, .*",
        ),
        (["--config=lsun_church:x"], r"error: This config has no form 'x': its forms are ddpm and ncsnpp."),
        (["--config", "landscapes", "--t0", "0"], r"error: t0 must be in \(0, 1\] .*, got 0.0."),
        (["--config", "mine.py", "--t0=1.5"], r"error: t0 must be in \(0, 1\] .*, got 1.5."),
        (["--mode=fly"], r"error: flag --mode=fly: value should be one of <edit\|sample\|.*\|survey_results>.*"),
        (
            ["--mode=train", "--num_steps=9"],
            r"error: --num_steps means nothing in --mode train, .* --workdir, .*",
        ),
        (["--mode=train"], r"error: --mode train needs --workdir DIR, .*"),
        (
            ["--mode=convert", "--source=x"],
            r"error: --mode convert needs --source MODEL and --out NAME.safetensors or FOLDER.",
        ),
        (["--guide", "nope.png"], r"error: nope.png cannot be opened \(No such file or directory\).*"),
        (["--guide", "a.png", "--mask", "m.png"], r"error: m.png is 16 x 8 pixels .* but the guide is .*"),
        (["--guide", "a.png", "--out", "a.png"], r"error: Cannot write into a.png: .*"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_without_jax(tmp_path, args, message):
    (tmp_path / "mine.py").write_text(
        "from configs import default\n\n\ndef get_config():\n    return default.get_config()\n"
    )
    write_guide(tmp_path / "a.png")
    write_mask(tmp_path / "m.png", corner(8, 16))
    before = names(tmp_path)
    code, stdout, stderr, imported = run_main(*args, cwd=tmp_path)
    assert code == 1 and not stdout
    assert len(stderr) == 1 and re.fullmatch(message, stderr[0]), stderr
    assert "jax" not in imported
    assert names(tmp_path) == before


def test_the_libraries_say_nothing(tmp_path):
    """Orbax, Grain and TFDS are all imported before it shows that the data are missing."""
    args = ["--mode=train", "--workdir=run", f"--config.data.dir={tmp_path}"]
    code, stdout, stderr, imported = run_main(*args, cwd=tmp_path)
    assert {"grain", "tensorflow_datasets", "orbax.checkpoint"} <= imported
    assert code == 1 and not stdout
    assert len(stderr) == 1 and stderr[0].startswith("error: No usable data set in"), stderr
    assert not names(tmp_path)
