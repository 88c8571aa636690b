"""Runs tests against faulty contracts: in one session of pytest, which has collected, timed and watched them before.

A fault is tried in a child process, which inherits the tests, the chains that they keep and the curve arithmetic that
they remember. First the faulty code takes the place of the faultless one on those chains (`warm`): what brought a chain
to where a test begins is not repeated, the test's own moves run on the faulty code. What counts is whether a test fails
that deploys the faulty contract anew (`cold`): warm trials only say which ones are worth it.
"""

import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from eth.vm.code_stream import CodeStream
from eth.vm.computation import BaseComputation
from eth_tester import PyEVMBackend
from eth_utils.exceptions import ValidationError

from tests.contracts.quality.branches import JUMPDEST, JUMPI, Place, Recorder
from tests.contracts.quality.builds import Build, Code, Instruction
from tests.contracts.quality.mutants import Mutant

PYTEST = ["-n0", "-q", "-x", "-s", "-p", "no:cacheprovider", "-m", "not slow and not published"]
LIMIT_SECONDS = 40
"""Of the processor, for the tests of one trial: a fault that needs more counts as a survivor."""
ENDS_BLOCK = {0x00, 0x56, JUMPI, 0xF3, 0xFD, 0xFE}


@dataclass
class Session:
    """A plugin of pytest: runs the tests on the faultless contracts, watches them, and then does what it is told.

    Attributes:
        build: The faultless contracts.
        then: Gets this session, once all tests have run.
        watched: Whether to note what the tests run.
        items: The tests by name.
        entered: Where the blocks of code begin that a test has entered.
        seconds: What it took of the processor.
    """

    build: Build
    then: Callable[["Session"], None]
    watched: bool = True
    items: dict[str, Any] = field(default_factory=dict)
    entered: dict[str, set[Place]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, tests: Sequence[str]) -> None:
        """Run pytest with these arguments.

        Raises:
            RuntimeError: Tests fail on the faultless contracts.
        """
        self.build.install()
        self._recorder = Recorder.of(self.build.codes)
        if pytest.main([*PYTEST, *tests], plugins=[self]) != 0:
            raise RuntimeError("tests fail on the faultless contracts")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Iterator[Any]:
        """Run the tests, and then what has to be done."""
        self.items = {item.nodeid: item for item in session.items}
        if not self.watched:
            result = yield
        else:
            self._recorder.start()
            result = yield
            self._recorder.stop()
        if not session.testsfailed:
            self.then(self)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        """Note what a test runs."""
        self._recorder.entered, started = set(), time.process_time()
        result = yield
        self.entered[item.nodeid], self.seconds[item.nodeid] = self._recorder.entered, time.process_time() - started
        return result

    # ------------------------------------------------------------------------------------------- which tests run what

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run what the mutant changes, the quickest first.

        If a constructor does, all, those first that are called like its contract: there is no time for all.
        """
        places = self._places_of(mutant)
        found = [test for test, blocks in self._covered.items() if blocks & places]
        if found:
            return sorted(found, key=lambda test: self.seconds[test])
        subject = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", Path(mutant.unit).stem).lower()
        return sorted(self.seconds, key=lambda test: (subject not in test, self.seconds[test]))

    def _places_of(self, mutant: Mutant) -> set[Place]:
        """Return where the code of the mutant stands: within its text, or of the smallest node around it."""
        here = self._instructions.get(mutant.unit, ())
        within = {(name, i.pc) for name, i in here if i.start >= mutant.start and i.end <= mutant.end}
        around = [(name, i) for name, i in here if i.start <= mutant.start and i.end >= mutant.end]
        smallest = min((i.end - i.start for _, i in around), default=0)
        return within or {(name, i.pc) for name, i in around if i.end - i.start == smallest}

    @cached_property
    def _instructions(self) -> Mapping[str, list[tuple[str, Instruction]]]:
        units: dict[str, list[tuple[str, Instruction]]] = {}
        for name, code in self.build.codes.items():
            for instruction in code.instructions:
                units.setdefault(instruction.unit, []).append((name, instruction))
        return units

    @cached_property
    def _covered(self) -> Mapping[str, set[Place]]:
        blocks = {name: _blocks(code.instructions) for name, code in self.build.codes.items()}
        return {
            test: {(name, pc) for name, start in entered for pc in blocks[name].get(start, ())}
            for test, entered in self.entered.items()
        }

    # --------------------------------------------------------------------------------------------------------- trials

    def trial(self, build: Build, tests: Sequence[str], *, cold: bool) -> str:
        """Run tests in a child process with these contracts, for `LIMIT_SECONDS` at most.

        Returns:
            The name of the first test that fails; nothing if none does in this time.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._child(build, tests, cold, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            failed = pipe.read()
        os.waitpid(child, 0)
        return failed

    def _child(self, build: Build, tests: Sequence[str], cold: bool, writing: int) -> None:
        try:
            until = time.process_time() + LIMIT_SECONDS
            # A single test that doesn't end, a loop in py-evm say, is ended by the system: no test has failed then.
            resource.setrlimit(resource.RLIMIT_CPU, (ceil(until) + LIMIT_SECONDS, resource.RLIM_INFINITY))
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            if cold:
                forget_chains()
                build.install()
            else:
                replace_deployed(self.build.codes, build.codes)
            timely = takewhile(lambda _: time.process_time() < until, tests)
            os.write(writing, next((test for test in timely if _fails(self.items[test])), "").encode())
        finally:
            os._exit(0)


def _fails(item: Any) -> bool:
    item._initrequest()  # it has run before
    return any(report.failed for report in runtestprotocol(item, log=False))


def replace_deployed(faultless: Mapping[str, Code], faulty: Mapping[str, Code]) -> None:
    """Let chains of this process run faulty code wherever they hold the faultless one.

    Whoever goes back to a snapshot runs its block again, which may have been made before: then by the faultless code.
    """
    pairs = {len(faultless[name].runtime): (faultless[name], faulty[name]) for name in faulty}
    replaced = dict(pairs)
    begin, go_back = BaseComputation.__init__, PyEVMBackend.revert_to_snapshot

    def begin_replaced(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        deployed = self.msg.code
        if not self.msg.is_create and len(deployed) in replaced:
            old, new = replaced[len(deployed)]
            self.code = CodeStream(new.deployed_as(old, deployed))

    def go_back_as_it_was(self: Any, snapshot: Any) -> None:
        try:
            go_back(self, snapshot)
        except ValidationError:  # another block than the one that is there
            replaced.clear()
            go_back(self, snapshot)
            replaced.update(pairs)

    BaseComputation.__init__ = begin_replaced
    PyEVMBackend.revert_to_snapshot = go_back_as_it_was


def forget_chains() -> None:
    """Clear what the tests keep, so that the next one deploys the contracts anew."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tests.contracts")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value.__module__.startswith("tests.contracts"):
                value.cache_clear()


def _blocks(instructions: Sequence[Instruction]) -> dict[int, list[int]]:
    """Return the instructions of each block of code, by where it begins."""
    blocks: dict[int, list[int]] = {}
    current: list[int] = []
    for instruction in instructions:
        if instruction.opcode == JUMPDEST or not current:
            current = blocks.setdefault(instruction.pc, [])
        current.append(instruction.pc)
        if instruction.opcode in ENDS_BLOCK:
            current = []
    return blocks
