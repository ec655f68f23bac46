"""Nested containers seen flat: a name for every leaf, the differences between two trees, lists as tuples.

A leaf is named by the keys that lead to it, joined by ``/``: ``down_0/conv/kernel``. Model files store these names and
error messages speak them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of any pytree by name, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from named leaves: the inverse of `flatten` for trees of dicts.

    Raises ValueError if one name runs through another (``a`` and ``a/b``).
    """
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ValueError(f"{name!r} runs through {folder!r}, which is itself a leaf.")
        if last in node:
            raise ValueError(f"{name!r} is both a leaf and a folder of leaves.")
        node[last] = leaf
    return tree


def differences(found: Any, wanted: Any) -> list[str]:
    """One line for every leaf that is missing, left over, or of another shape or dtype; empty if the trees agree.

    Leaves are anything with `shape` and `dtype`. Containers are compared by their keys only, so a NamedTuple agrees
    with the dict of its fields.
    """
    found, wanted = flatten(found), flatten(wanted)
    missing = [f"missing {name}: {_describe(wanted[name])}" for name in wanted if name not in found]
    left_over = [f"left over {name}: {_describe(found[name])}" for name in found if name not in wanted]
    pairs = {name: (_describe(wanted[name]), _describe(found[name])) for name in wanted if name in found}
    changed = [f"{name}: wanted {want}, found {got}" for name, (want, got) in pairs.items() if want != got]
    return missing + left_over + changed


def listing(lines: list[str], limit: int = 10) -> str:
    """The lines, indented, one per row; beyond `limit` only their number."""
    more = [f"and {len(lines) - limit} more"] if len(lines) > limit else []
    return "".join(f"\n  {line}" for line in lines[:limit] + more)


def tuples(value: Any) -> Any:
    """`value` with every list turned into a tuple, inside dicts too: what JSON made of a config, hashable again."""
    if isinstance(value, Mapping):
        return {key: tuples(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(tuples(item) for item in value)
    return value


def _describe(leaf: Any) -> str:
    return f"{tuple(leaf.shape)} {leaf.dtype}"
