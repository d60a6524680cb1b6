"""Faults that tests bring about: a connection cut at a chosen moment, a network that is down, a disk that is full."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conftest import skip_or_fail

__all__ = ["Network", "Proxy", "fill", "network", "proxied", "small_disk"]

Cut = Literal["nothing", "before", "after", "everything"]


class Proxy:
    """Stands between a client and a server, and cuts connections.

    Attributes
    ----------
    cut : str
        ``before`` and ``after``: a connection on which COMMIT is said, before the server hears it or before the client
        hears the answer. ``everything``: every connection, also new ones.
    cuts : int
        How many times COMMIT was cut.
    """

    def __init__(self, port: int) -> None:
        self.cut: Cut = "nothing"
        self.cuts = 0
        self.then: Cut = "nothing"
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), socket.create_connection(("127.0.0.1", self._port)) as server:
            if self.cut == "everything":
                return
            mute = threading.Event()
            answers = threading.Thread(target=self._answer, args=(server, client, mute), daemon=True)
            answers.start()
            try:
                while said := client.recv(65536):
                    if self.cut in ("before", "after") and b"COMMIT" in said:
                        self.cuts += 1
                        if self.cut == "after":
                            mute.set()
                            server.sendall(said)
                            answers.join(30)  # until the server has done it
                        self.cut = self.then
                        return
                    server.sendall(said)
            except OSError:
                return
            finally:
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)  # closing alone says nothing while the other thread listens

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while said := server.recv(65536):
                if mute.is_set():
                    return
                client.sendall(said)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """Run a proxy in front of a port of this machine."""
    with closing(Proxy(port)) as proxy:
        yield proxy


@dataclass(frozen=True)
class Network:
    """A network namespace that one link leads to.

    Attributes
    ----------
    space : str
        Its name.
    address : str
        Of this machine, as the namespace reaches it.
    """

    space: str
    address: str
    link: str

    def cut(self) -> None:
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        _ip("link", "set", self.link, "up")


@contextmanager
def network() -> Iterator[Network]:
    """Make a network namespace; only root may."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        skip_or_fail("root", "needs root and iproute2, to make a network namespace")
    number = random.randrange(1 << 14)
    name, third, fourth = f"ocelake{number}", number >> 6, (number & 63) * 4
    here, there = f"10.213.{third}.{fourth + 1}", f"10.213.{third}.{fourth + 2}"
    net = Network(name, here, f"oc{number}a")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        skip_or_fail("root", f"needs the right to make a network namespace: {made.stderr.strip()}")
    try:
        _ip("link", "add", net.link, "type", "veth", "peer", "name", "inside", "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", net.link)
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", "inside")
        for arguments in (("link", "set", net.link, "up"), ("-n", name, "link", "set", "inside", "up")):
            _ip(*arguments)
        yield net
    finally:
        subprocess.run(["ip", "link", "del", net.link], capture_output=True)
        _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a small file system; only root may."""
    if os.geteuid() != 0:
        skip_or_fail("root", "needs root, to mount a small file system")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "ocelake-test", folder]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        skip_or_fail("root", f"needs the right to mount a file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a file system up to some bytes; give the file to delete for room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    if leave:
        os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    return ballast
