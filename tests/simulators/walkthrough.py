"""Runs documentation: the command blocks of a page, in order, as a reader would type them.

A block says by its title whose terminal it is (`console title="seller"`): each has a folder and an environment of its
own. Lines that begin with `$` are commands, the others are what they print, where `…` stands for anything and decimal
fractions for any; a command goes on after a backslash. A block of Python with a title is a file in the seller's folder.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.simulators.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

BLOCK: Final = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LONG_RUNNING: Final = ("anvil", "modelseal seller serve")
NODE_PORT, SERVICE_PORT = "8545", "8420"
PATIENCE_SECONDS: Final = 600


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        terminal: Whose it is.
        line: What is typed.
        shown: Lines that the page shows of its output.
    """

    terminal: str
    line: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file that the page asks its reader to write."""

    name: str
    text: str


def read_page(page: Path) -> list[Command | File]:
    """Return the commands and files of a page, in order."""
    steps: list[Command | File] = []
    for language, title, text in BLOCK.findall(page.read_text()):
        if language == "python" and title:
            steps.append(File(title, text))
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, *shown = part.replace("\\\n", "").strip("\n").split("\n")
                steps.append(Command(title, line, tuple(filter(None, shown))))
    return steps


@dataclass
class Reader:
    """Someone with several terminals, who types what pages say.

    Attributes:
        folder: Each terminal's folder lies in it.
        path: Folders with programs, before those of this process.
        environment: Of every terminal, beside this process's own.
    """

    folder: Path
    path: tuple[Path, ...]
    environment: dict[str, str]
    exported: dict[str, dict[str, str]] = field(default_factory=dict)
    running: list[tuple[Command, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ports = {NODE_PORT: str(free_port()), SERVICE_PORT: str(free_port())}

    def follow(self, page: Path) -> None:
        """Type every command of a page; each must end well and print what the page shows."""
        for step in read_page(page):
            self.take(step)

    def take(self, step: Command | File) -> None:
        """Type one command, or write one file."""
        if isinstance(step, File):
            (self.home("seller") / step.name).write_text(step.text)
        elif exported := re.fullmatch(r"export (\w+)=(\S+)", step.line):
            self.exported.setdefault(step.terminal, {})[exported[1]] = self._here(exported[2])
        elif step.line.startswith(LONG_RUNNING):
            self._start(step)
        else:
            self._run(step)

    def home(self, terminal: str) -> Path:
        """Return the folder of a terminal."""
        home = self.folder / terminal
        home.mkdir(exist_ok=True)
        return home

    def stop(self) -> None:
        """Interrupt what runs, the newest first; each must end well."""
        for command, process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0, f"{command.line} ended with {process.returncode}"

    def _run(self, command: Command) -> None:
        ran = subprocess.run(
            ["bash", "-ec", self._here(command.line)],
            cwd=self.home(command.terminal),
            env=self._environment(command.terminal),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert ran.returncode == 0, f"$ {command.line}\n{ran.stdout}"
        for line in command.shown:
            assert re.search(self._pattern(line), ran.stdout), f"$ {command.line}\nshows no {line!r}:\n{ran.stdout}"

    def _start(self, command: Command) -> None:
        line = self._here(command.line)
        if line.startswith("anvil"):
            line += f" --port {self._ports[NODE_PORT]}"
        output = self.folder / f"{command.terminal}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"],
                cwd=self.home(command.terminal),
                env=self._environment(command.terminal),
                stdout=file,
                stderr=file,
            )
        self.running.append((command, process))
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._is_up(command, output.read_text()):
            assert process.poll() is None, f"$ {command.line}\n{output.read_text()}"
            assert time.monotonic() < until, f"$ {command.line}\nshows too little:\n{output.read_text()}"
            time.sleep(0.1)

    def _is_up(self, command: Command, output: str) -> bool:
        if command.line.startswith("anvil"):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(self._ports[NODE_PORT]))) == 0
        return all(re.search(self._pattern(line), output) for line in command.shown)

    def _here(self, text: str) -> str:
        """Return a text with the ports of this run; those of the pages may be taken."""
        for written, port in self._ports.items():
            text = text.replace(f":{written}", f":{port}")
        if text.startswith("modelseal seller init"):
            text += f" --url http://127.0.0.1:{self._ports[SERVICE_PORT]}"
        return text

    def _pattern(self, line: str) -> str:
        words = re.split(r"(…|\d+\.\d+(?!\.)|\s+)", self._here(line).strip())
        return "".join(map(_pattern_of, words))

    def _environment(self, terminal: str) -> dict[str, str]:
        path = os.pathsep.join([*map(str, self.path), os.environ["PATH"]])
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MODELSEAL_", "ETH_"))}
        wide = {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        return {**inherited, **wide, **self.environment, **self.exported.get(terminal, {}), "PATH": path}


def _pattern_of(word: str) -> str:
    if word == "…":
        return r"[\s\S]*?"
    if re.fullmatch(r"\d+\.\d+", word) and word not in ("127.0", "0.2"):
        return r"\d+(\.\d+)?"
    return r"\s+" if word.isspace() else re.escape(word)
