"""What the documentation shows runs as it stands there, its links lead somewhere, and what it names exists."""

import ast
import functools
import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import VESDE, VPSDE, Ancestral, ProbabilityFlow, build
from tests.analytic import gaussian_score

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
EXAMPLES = {
    "Data": "as_trained_on.png",
    "SDE": "under_cosine.png",
    "Solver": "with_ddim.png",
    "Network": "with_dilated.png",
    "From the command line": None,
}


@functools.cache
def read(path):
    return path.read_text(encoding="utf-8")


def example(heading):
    """The one Python block below `heading` in docs/extending.md."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", read(ROOT / "docs" / "extending.md"), re.M | re.S)
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    return code


def run(code):
    """The names that `code` defines."""
    names = {"__name__": "example"}
    exec(compile(code, "docs", "exec"), names)
    return names


def definitions(heading):
    """The names that the imports and classes of an example define, without running the rest of it."""
    tree = ast.parse(example(heading))
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)]
    return run(tree)


def prose(path):
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", read(path), flags=re.S)


def anchors(path):
    """What GitHub makes of the headings of a page, and `pymdownx.slugs` of those of the site."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", read(path), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_example_is_known():
    assert read(ROOT / "docs" / "extending.md").count("```python") == len(EXAMPLES)


@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_examples_of_extending_run(heading, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "MODELS", dict(build.MODELS))
    run(example(heading))
    picture = EXAMPLES[heading]
    assert picture is None or (tmp_path / picture).stat().st_size > 100


@pytest.mark.parametrize("sde", [VPSDE(), VESDE()])
@pytest.mark.parametrize(("eta", "solver"), [(0.0, ProbabilityFlow()), (1.0, Ancestral("small"))])
def test_the_example_solver_lies_between_those_it_names(sde, eta, solver, new_key):
    ddim = definitions("Solver")["DDIM"](eta)
    x, key = jnp.linspace(-1.0, 1.0, 12).reshape(1, 2, 2, 3), new_key()
    score_fn = functools.partial(gaussian_score, sde, 0.2, 0.5)
    for t_next in (0.4, 0.0):
        times = jnp.asarray(0.5), jnp.asarray(t_next)
        steps = [each.step(sde, score_fn, jax.random.clone(key), x, *times) for each in (ddim, solver)]
        np.testing.assert_allclose(*steps, rtol=1e-5, atol=1e-5)  # the same algebra in float32, in another order


def test_the_example_config_chooses_the_example_solver(monkeypatch):
    ddim = definitions("Solver")["DDIM"]
    monkeypatch.setitem(build.SOLVERS, "ddim", ddim)
    assert build.build_solver(run(example("From the command line"))["get_config"]()) == ddim(0.5)


def test_metrics_names_what_exists():
    """The example there needs pretrained networks, so it is read and not run."""
    (code,) = re.findall(r"```python\n(.*?)```", read(ROOT / "docs" / "metrics.md"), re.S)
    used = {ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}
    used = {name for name in used if re.fullmatch(r"(metrics|networks)(\.\w+)+", name)}
    assert len(used) >= 6
    for name in used:
        resolve(f"metrics.{name}" if name.startswith("networks") else name)


def test_mathematics_names_what_exists():
    names = set(
        re.findall(r"`((?:sdes|solvers|score|models|losses|editing)\.[\w.]+)`", read(ROOT / "docs/mathematics.md"))
    )
    assert len(names) > 25
    for name in names:
        resolve(name)


def resolve(name):
    """The object of that name in the package; AttributeError if there is none."""
    module, *attributes = name.split(".")
    found = importlib.import_module(f"sdedit_jax.{module}")
    for attribute in attributes:
        if not hasattr(found, attribute):
            found = importlib.import_module(f"{found.__name__}.{attribute}")
        else:
            found = getattr(found, attribute)
    return found


@pytest.mark.parametrize(
    ("row", "sde"),
    [("VP, .* to 20", VPSDE()), ("VE, .* to 756", VESDE(0.02, 756.0)), ("VE, .* to 100", VESDE(0.02, 100.0))],
)
def test_the_noise_at_t0_is_that_of_the_code(row, sde):
    text = read(ROOT / "docs" / "mathematics.md")
    t0 = re.search(r"^\| \$t_0\$ \|(.*)\|$", text, re.M)
    printed = re.search(rf"^\| {row}[^|]*\|(.*)\|$", text, re.M)
    assert t0 and printed
    t = jnp.asarray([float(value) for value in t0[1].split("|")])
    values = [float(value) for value in printed[1].split("|")]
    np.testing.assert_allclose(values, sde.sigma(t) / sde.alpha(t), rtol=0.05)  # printed with two digits


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        found = file.exists() and (not anchor or anchor in anchors(file))
        # The site is made of docs/ alone: a link that leaves it would work on GitHub only.
        if not found or (path in PAGES and not file.is_relative_to(ROOT / "docs")):
            missing.append(link)
    assert not missing


def test_a_wrong_anchor_would_be_noticed():
    found = anchors(ROOT / "docs" / "mathematics.md")
    assert "what-t0-does" in found and "what-t1-does" not in found
