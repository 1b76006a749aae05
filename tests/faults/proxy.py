"""A TCP proxy before a server: passes bytes on, swallows them, holds them back or breaks off, as a test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Literal

_CHUNK = 65536
Way = Literal["up", "down"]
Address = tuple[str, int] | str


class Mode(Enum):
    """What becomes of bytes on their way. New connections are taken in every mode except `CUT`."""

    PASS = "pass"  # they arrive
    DROP = "drop"  # they are lost, and nobody is told: what came in between is missing afterwards
    STALL = "stall"  # they are kept, and arrive when the mode changes to PASS
    CUT = "cut"  # both ends are broken off instead


class Proxy:
    """Listens at `port` of 127.0.0.1 for `target_host:target_port`; `target_port` 0: a Unix socket of that path.

    `up` is to the server, `down` is from it. `watch(way, bytes)` is called with every chunk before it is handled, and
    may change the mode first: what it does is in force for that very chunk.
    """

    def __init__(self, target_host: str, target_port: int = 0) -> None:
        self._targets: list[Address] = [(target_host, target_port) if target_port else target_host]
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.watch: Callable[[Way, bytes], None] = lambda way, data: None
        self._changed = threading.Condition()
        self._modes: dict[Way, Mode] = {"up": Mode.PASS, "down": Mode.PASS}
        self._open: set[socket.socket] = set()
        self._reached: list[Address] = []
        self._closed = False
        self._accepting = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._accepting.start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        with self._changed:
            return len(self._open) // 2

    def aim(self, *ports: int) -> None:
        """New connections go to these ports of 127.0.0.1, in turn."""
        with self._changed:
            self._targets = [("127.0.0.1", port) for port in ports]

    def reaching(self, port: int) -> int:
        """How many connections lead, or are about to lead, to this port of 127.0.0.1."""
        with self._changed:
            return self._reached.count(("127.0.0.1", port))

    def set(self, mode: Mode, *ways: Way) -> None:
        """From now on, one way or, by default, both; `CUT` breaks everything that is open at once."""
        with self._changed:
            for way in ways or ("up", "down"):
                self._modes[way] = mode
            self._changed.notify_all()
        if mode is Mode.CUT:
            self.cut()

    @contextmanager
    def during(self, mode: Mode, *ways: Way) -> Iterator[None]:
        """The mode for a while; PASS afterwards."""
        self.set(mode, *ways)
        try:
            yield
        finally:
            self.set(Mode.PASS, *ways)

    def cut(self) -> None:
        """Break off the connections that are open now; new ones are taken as before."""
        with self._changed:
            ends = list(self._open)
        for end in ends:
            _break(end)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if Mode.CUT in self._modes.values():
                _reset(client)
                continue
            with self._changed:
                target = self._targets.pop(0)
                self._targets.append(target)
                self._reached.append(target)
            try:
                server = _connected(target)
            except OSError:
                _reset(client)
                with self._changed:
                    self._reached.remove(target)
                continue
            with self._changed:
                self._open |= {client, server}
            for way, source, sink in (("up", client, server), ("down", server, client)):
                threading.Thread(target=self._carry, args=(way, source, sink, target), daemon=True).start()

    def _carry(self, way: Way, source: socket.socket, sink: socket.socket, target: Address) -> None:
        """Until either end goes; a mode other than PASS holds back also the news that an end went."""
        source.settimeout(None)
        try:
            while data := source.recv(_CHUNK):
                self.watch(way, data)
                if self._mode_past_stalls(way) is Mode.PASS:
                    sink.sendall(data)
                elif self._modes[way] is Mode.CUT:
                    break
            self._wait_for(way, Mode.PASS, Mode.CUT)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                _break(end)
            with self._changed:
                if source in self._open:  # the other way has not come here yet
                    self._open -= {source, sink}
                    self._reached.remove(target)

    def _mode_past_stalls(self, way: Way) -> Mode:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._modes[way] is not Mode.STALL)
            return Mode.CUT if self._closed else self._modes[way]

    def _wait_for(self, way: Way, *modes: Mode) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._modes[way] in modes)


def _connected(target: Address) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target, timeout=10)
    server = socket.socket(socket.AF_UNIX)
    server.connect(target)
    return server


def _break(end: socket.socket) -> None:
    """Wake whoever reads there, and end it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _reset(end: socket.socket) -> None:
    """An RST, not a polite goodbye."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    end.close()
