"""A real Chromium without a window, driven over WebDriver by the standard library alone.

A test of one page needs a dozen commands of the protocol; a client library would bring ten packages for them.
"""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which a container's root needs
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
KEYS = {"left": "\ue012", "right": "\ue014", "backspace": "\ue003", "enter": "\ue007", "tab": "\ue004"}
needs_chromium = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs Chromium and its driver: apt-get install chromium chromium-driver",
)


class Browser:
    """One window; what it downloads goes into `downloads`."""

    def __init__(self, session: str, downloads: Path):
        self.session, self.downloads = session, downloads

    def command(self, method: str, path: str, **fields):
        """The value that WebDriver answers with."""
        return _request(method, f"{self.session}/{path}", fields)

    def open(self, url: str):
        self.command("POST", "url", url=url)

    def run(self, script: str, *args):
        """What the body `script` of a function returns in the page."""
        return self.command("POST", "execute/sync", script=script, args=list(args))

    def wait(self, condition: str, *args, seconds: float = 30.0):
        """Returns what the expression `condition` gives as soon as that is true."""
        end = time.monotonic() + seconds
        while not (found := self.run(f"return {condition}", *args)):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)
        return found

    def press(self, *names: str):
        """Presses and releases each key: a name of `KEYS`, or a text to type."""
        strokes = [stroke for name in names for stroke in KEYS.get(name, name)]
        actions = [{"type": kind, "value": stroke} for stroke in strokes for kind in ("keyDown", "keyUp")]
        self.command("POST", "actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def tap(self, selector: str, pointer: str = "mouse"):
        """Points at the middle of an element and presses there, with a mouse or by touch."""
        element = self.command("POST", "element", using="css selector", value=selector)
        moves = [
            {"type": "pointerMove", "origin": element, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        source = {"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}, "actions": moves}
        self.command("POST", "actions", actions=[source])

    def choose_file(self, selector: str, path: Path):
        """Gives a file to a file input."""
        element = self.command("POST", "element", using="css selector", value=selector)
        self.command("POST", f"element/{next(iter(element.values()))}/value", text=str(path))

    def screenshot(self, path: Path):
        path.write_bytes(base64.b64decode(self.command("GET", "screenshot")))

    def downloaded(self, seconds: float = 30.0) -> Path:
        """The one file that has been downloaded, when it is whole."""
        end = time.monotonic() + seconds
        while len(paths := list(self.downloads.glob("[!.]*"))) != 1 or paths[0].suffix == ".crdownload":
            assert time.monotonic() < end, paths
            time.sleep(0.02)
        return paths[0]

    def complaints(self) -> list[str]:
        """What the page wrote to its console, such as errors and breaches of its security policy, since last asked."""
        return [entry["message"] for entry in self.command("POST", "se/log", type="browser")]

    def requests(self) -> list[str]:
        """The addresses that pages asked for since last asked, but for data inside them."""
        entries = self.command("POST", "se/log", type="performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "chrome"))]


@contextlib.contextmanager
def chromium(folder: Path, width: int = 1280, height: int = 800, phone: bool = False, storage: bool = True):
    """A `Browser` that is new in every respect; its profile and downloads are in `folder`.

    `phone`: a touch screen of two pixels a point. Without `storage` pages cannot keep anything.
    """
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    options = {
        "binary": shutil.which("chromium"),
        "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"],
        "prefs": {
            "download.default_directory": str(downloads),
            "profile.default_content_setting_values.cookies": 1 if storage else 2,
        },
    }
    if phone:
        options["mobileEmulation"] = {
            "deviceMetrics": {"width": width, "height": height, "pixelRatio": 2.0, "touch": True}
        }
    capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        root = f"http://127.0.0.1:{port}/session"
        started = _request("POST", root, {"capabilities": {"alwaysMatch": capabilities}})
        session = f"{root}/{started['sessionId']}"
        try:
            yield Browser(session, downloads)
        finally:
            _request("DELETE", session, {})
    finally:
        driver.terminate()
        driver.communicate()


def _request(method: str, url: str, fields: dict):
    data = json.dumps(fields).encode() if method == "POST" else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of this machine
    try:
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
