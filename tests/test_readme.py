"""What README shows works as it stands there."""

import re
from pathlib import Path

import pytest

from sdedit_jax.cli import arguments

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert "num_steps=25" in code
    code = code.replace("num_steps=25", "num_steps=4").replace('"sdedit_jax/', f'"{ROOT}/sdedit_jax/')
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "edit.png").stat().st_size > 1000


def test_every_flag_and_mode_shown_exists():
    shown = {flag for flag in re.findall(r"--([a-z_0-9.]+)", README) if not flag.startswith("config")}
    known = {"mode", *arguments.FLAGS_OF["edit"], *arguments.FLAGS_OF["train"], *arguments.FLAGS_OF["convert"]}
    assert shown <= known
    assert set(re.findall(r"--mode ([a-z_]+)", README)) == set(arguments.MODES)


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/landscapes.md", "docs/weights.md"]
)
def test_every_link_to_a_file_leads_somewhere(document):
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_the_layout_in_architecture_is_complete():
    """Every module of the package stands in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path.stem if path.is_file() else path.name + "/" for path in (ROOT / "sdedit_jax").iterdir()]
    skipped = {"__init__", "__pycache__/", "assets/"}
    assert not [name for name in modules if name not in skipped and f"`{name}`" not in text]
