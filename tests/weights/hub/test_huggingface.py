"""`hf://` addresses with the real huggingface_hub, against a server that speaks as much of the hub as it asks for."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from sdedit_jax.weights import WeightsError, diffusers
from sdedit_jax.weights.hub import huggingface
from tests.weights.hub.server import Reply, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "someone/flat": ["config.json", "scheduler_config.json", "modeling.py", "model.ckpt", "README.md"],
    "someone/unet": ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"],
    "someone/empty": ["config.json", "diffusion_pytorch_model.fp16.safetensors"],
}
FILES["someone/flat"] += ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"]
FILES["someone/unet"] += ["unet/diffusion_pytorch_model.bin"]
SCRIPT = """
import json, sys
from sdedit_jax.weights import WeightsError
from sdedit_jax.weights.hub import huggingface
def fetch(address):
    try:
        return str(huggingface.fetch(address))
    except WeightsError as error:
        return f"error: {error}"
assert "huggingface_hub" not in sys.modules
print(json.dumps([fetch(address) for address in sys.argv[1:]]))
"""
REFUSALS = {
    "hf://someone/gated/x.ckpt": "its owner wants the terms on its page accepted, and then `hf auth login`",
    "hf://someone/none/x.ckpt": "there is no such repository, or it is private and wants `hf auth login`",
    "hf://someone/private/x.ckpt": "there is no such repository, or it is private and wants `hf auth login`",
    "hf://someone/flat/model.ckpt@v9": "the repository has no such revision",
    "hf://someone/flat/nope.ckpt": "the repository does not hold nope.ckpt",
    "hf://someone/empty": "the repository does not hold a diffusers model, config.json with "
    "diffusion_pytorch_model.safetensors or diffusion_pytorch_model.bin",
}
FLAT, UNET = "hf://someone/flat", "hf://someone/unet"
ADDRESSES = (FLAT, UNET, f"{FLAT}/model.ckpt", f"{FLAT}/model.ckpt@v1", f"{FLAT}/model.ckpt@{COMMIT}")


def replies():
    """Every file in every revision, 404 as the hub says it for all others."""
    found = {}
    for repository, names in FILES.items():
        for name in names:
            body = f"{repository}/{name}".encode()
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            for revision in ("main", COMMIT, "v1"):
                found[f"/{repository}/resolve/{revision}/{name}"] = Reply(body, headers=headers)
    refused = {"gated": (403, "GatedRepo"), "none": (404, "RepoNotFound"), "private": (401, "RepoNotFound")}
    for name, (status, code) in refused.items():
        found[f"/someone/{name}/resolve/main/x.ckpt"] = Reply(b"", status, {"X-Error-Code": code})
    found["/someone/flat/resolve/v9/model.ckpt"] = Reply(b"", 404, {"X-Error-Code": "RevisionNotFound"})
    missing = [
        ("flat", "nope.ckpt"),
        ("flat", "model_index.json"),
        ("unet", "config.json"),
        ("unet", "unet/diffusion_pytorch_model.safetensors"),
        *(("empty", name) for name in ("model_index.json", "scheduler_config.json", *diffusers.WEIGHTS)),
        ("empty", "unet/config.json"),
    ]
    for repository, name in missing:
        for revision in ("main", COMMIT):
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            found[f"/someone/{repository}/resolve/{revision}/{name}"] = Reply(b"", 404, headers)
    return found


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("huggingface_hub")
    with serving(replies()) as server:
        yield server


def run(home, addresses, said=False, **variables):
    """What `fetch` gives for each address, with what it has `said` on stderr if that is wanted.

    It is in a process of its own: the hub reads its variables when it is imported.
    """
    environment = os.environ | {"HF_HOME": str(home), "no_proxy": "127.0.0.1"} | variables
    command = [sys.executable, "-c", SCRIPT, *addresses]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    return (found, done.stderr.decode()) if said else found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def fetched(server, home):
    """What came of the addresses, of the same ones again, and of those that are refused."""
    return run(home, [*ADDRESSES, *ADDRESSES, *REFUSALS], HF_ENDPOINT=server.url)


def snapshot(home, name):
    return home / "hub" / f"models--someone--{name}" / "snapshots" / COMMIT


def test_files_and_folders_arrive_and_no_code_ever(server, home, fetched):
    flat, unet = snapshot(home, "flat"), snapshot(home, "unet")
    assert fetched[: len(ADDRESSES)] == [str(flat), str(unet), *[str(flat / "model.ckpt")] * 3]
    expected = ["config.json", "diffusion_pytorch_model.safetensors", "model.ckpt", "scheduler_config.json"]
    assert sorted(path.name for path in flat.iterdir()) == expected
    assert sorted(str(path.relative_to(unet)) for path in unet.rglob("*.*")) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
    ]
    assert (flat / "model.ckpt").read_bytes() == b"someone/flat/model.ckpt"
    assert not [path for _, path, _ in server.requests if path.endswith((".py", ".md"))]


def test_what_is_here_is_not_fetched_again(server, fetched):
    again = fetched[len(ADDRESSES) : 2 * len(ADDRESSES)]
    assert again == fetched[: len(ADDRESSES)]
    gets = [path for method, path, _ in server.requests if method == "GET"]
    assert gets and len(gets) == len(set(gets))
    heads = [path for method, path, _ in server.requests if method == "HEAD" and "/main/" in path]
    assert len(heads) == len(set(heads))


def test_what_cannot_be_fetched_is_said_in_a_sentence(fetched):
    for (address, reason), found in zip(REFUSALS.items(), fetched[2 * len(ADDRESSES) :], strict=True):
        assert found == f"error: {address} cannot be fetched: {reason}."


def test_an_unreachable_hub_is_told_at_once_in_a_sentence(home, fetched):
    """The hub itself takes half a minute and 13 lines for it."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    started = time.monotonic()
    found, said = run(home, [FLAT, f"{FLAT}/README.md"], HF_ENDPOINT=f"http://127.0.0.1:{port}", said=True)
    assert found == [fetched[0], f"error: {FLAT}/README.md cannot be fetched: 127.0.0.1 cannot be reached."]
    assert not said
    assert time.monotonic() - started < 20  # mostly imports, on a busy machine; the hub's retries alone take 23


def test_offline_by_a_variable(home, fetched):
    address = f"{FLAT}/README.md"
    message = f"error: {address} cannot be fetched: HF_HUB_OFFLINE is set."
    assert run(home, [*ADDRESSES, address], HF_HUB_OFFLINE="1") == [*fetched[: len(ADDRESSES)], message]


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r'flat needs huggingface_hub: pip install -e "\.\[hub\]"'):
        huggingface.fetch(FLAT)


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a//b", "hf://a/b@", "hf://a/b/c@d@e", "hf:/a/b"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(WeightsError, match="must be hf://owner/name or hf://owner/name/file"):
        huggingface.fetch(address)
