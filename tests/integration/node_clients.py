"""Trackers of npm for the tests: fetched once, in the versions of ``node/package.json``, and run with Node.

They go to ``~/.cache/headwater-node`` (or ``HEADWATER_NODE_CACHE``). Needs Node 20 or newer, and npm for the first
use. No script of any package is run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).with_name("node")
NODE_AT_LEAST = 20
FETCH_S = 180
RUN_S = 60


class NodeUnavailableError(Exception):
    """The clients cannot run on this machine; the text says what is missing."""


def find_node() -> str:
    """The ``node`` to run; raises NodeUnavailableError when there is none or it is too old."""
    node = shutil.which("node")
    if node is None:
        raise NodeUnavailableError(f"node was not found: install Node {NODE_AT_LEAST} or newer")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", said)
    if found is None or int(found[1]) < NODE_AT_LEAST:
        raise NodeUnavailableError(f"Node {NODE_AT_LEAST} or newer is needed, {node} is {said.strip()!r}")
    return node


def find_packages() -> Path:
    """The folder of the installed packages; raises NodeUnavailableError when they cannot be fetched."""
    wanted = (FOLDER / "package.json").read_bytes()
    given = os.environ.get("HEADWATER_NODE_CACHE")
    cache = Path(given).expanduser() if given else Path.home() / ".cache" / "headwater-node"
    folder = cache / hashlib.sha256(wanted).hexdigest()[:12]
    if (folder / "complete").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise NodeUnavailableError(
            f"npm was not found, and {folder} does not hold the clients yet: install npm"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():  # another run may have been faster
            _fetch(npm, wanted, cache, folder)
    return folder


def _fetch(npm: str, wanted: bytes, cache: Path, folder: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix="part-", dir=cache))
    (part / "package.json").write_bytes(wanted)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        done = subprocess.run(command, cwd=part, capture_output=True, text=True, timeout=FETCH_S, check=False)
        problem = (done.stdout + done.stderr)[-1500:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"it took more than {FETCH_S} s"
    if problem:
        shutil.rmtree(part)
        raise NodeUnavailableError(f"npm could not fetch the clients: {problem}")
    (part / "complete").touch()
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def run(node: str, packages: Path, client: str, *arguments: str, given: str = "") -> str:
    """Run a client of ``node/clients.cjs`` to its end; returns what it printed."""
    command = [node, str(FOLDER / "clients.cjs"), client, *arguments]
    done = subprocess.run(
        command, cwd=packages, input=given, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
