"""Encrypted testing against TenSEAL's `CKKSVector.mm`, and against the same network in plain float64.

`rows(quick)` gives the figures of `modelseal bench he`; `sweeps(quick)` how they grow with samples, features and depth.
What TenSEAL is given: the same network, the smallest parameters of 128-bit security that run it, one sample per vector,
which is how its tutorials evaluate a network. A test is whole here: keys, encryption, evaluation with all protection,
decryption.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.he_costs import cost_rows
from benchmarks.he_networks import network_rows, relu_rows
from benchmarks.he_trees import tree_rows
from benchmarks.rows import Row, Series, Sweep, at_least, at_most, measure, measure_in_turn, peak_bytes
from trader.he import ClientSession, HePlan, PlanningProblem, evaluate, plan_encryption
from trader.he.planning.parameters import plan_parameters
from trader.he.seal import SecretKey
from trader.he.wire.key_proof import Form, Statement
from trader.model import CanonicalModel, measured_bounds
from trader.rehearsal.networks import SCALE_BITS, random_network

IMAGE_NETWORK = (784, 64, 10)
QUICK_NETWORK = (196, 32, 10)
"""Stands for the image network in quick runs."""
TABLE_NETWORK = (30, 16, 2)
OVERHEAD_SAMPLES = 2048
PROOF_SAMPLES = 50
THROUGHPUT_SAMPLES = 8192
"""As many as the test sets that people have, and two per slot."""
PUBLISHED_NETWORK, PUBLISHED_SAMPLES, PUBLISHED_SECONDS = (484, 128, 10), 10_000, 0.70
"""CryptoLab's public entry to the FHE benchmark suite, on CPUs: evaluation alone, no flooding, cores not stated."""
LARGEST_NS_PER_MAC = 1.2
SAMPLE_COUNTS, QUICK_COUNTS = (1, 10, 50, 100, 200, 500, 1000, 4000, 8000), (1, 50, 1000)
CALIBRATION_ROWS = 256
"""A model has one plan, however many samples it is tested with."""
TIMING_NOISE = 1.1
"""Least times of the same work differ by less."""


@dataclass(frozen=True, slots=True)
class Task:
    """A model, its test set and its plan."""

    model: CanonicalModel
    inputs: NDArray[np.int64]
    plan: HePlan

    @classmethod
    def make(cls, widths: tuple[int, ...], samples: int) -> "Task":
        """Return a random network and samples in [0, 1], like pixels."""
        model, rows = random_network(*widths), max(samples, CALIBRATION_ROWS)
        inputs = np.random.default_rng(1).integers(0, 2**SCALE_BITS, (rows, widths[0]), endpoint=True)
        bounds = measured_bounds(model, inputs[:CALIBRATION_ROWS])
        return cls(model, inputs[:samples], plan_encryption(PlanningProblem(model, bounds, input_magnitude=1.0)))

    def run(self) -> NDArray[np.float64]:
        """Return the whole encrypted test."""
        session = ClientSession(self.plan)
        return session.decrypt(evaluate(self.plan, self.model, session.encrypt(self.inputs), len(self.inputs)))

    def layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """(weights, bias) in real units, layer by layer."""
        model = self.model
        indices = range(len(model.tensors))
        return [
            (np.ldexp(model.weights(i).astype(float), -SCALE_BITS), np.ldexp(model.bias(i).astype(float), -SCALE_BITS))
            for i in indices
        ]

    def plain(self) -> NDArray[np.float64]:
        """Return the same network in float64."""
        values = np.ldexp(self.inputs.astype(np.float64), -SCALE_BITS)
        for index, (weights, bias) in enumerate(self.layers()):
            values = (values**2 if index else values) @ weights + bias
        return values


def tenseal_test(task: Task) -> Callable[[], list[float]]:
    """Return the first sample through TenSEAL: encryption, `mm`, square, `mm`, decryption."""
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[31, 26, 26, 26, 31])
    context.global_scale = 2.0**26
    context.generate_galois_keys()
    # A plain bias would leave out slots behind the outputs, which the next product reads; encrypted it costs no time.
    layers = [(weights.tolist(), tenseal.ckks_vector(context, bias.tolist())) for weights, bias in task.layers()]
    sample = np.ldexp(task.inputs[0].astype(float), -SCALE_BITS).tolist()

    def test() -> list[float]:
        vector = tenseal.ckks_vector(context, sample)
        for index, (weights, bias) in enumerate(layers):
            vector = (vector.square() if index else vector).mm(weights).add(bias)
        outputs: list[float] = vector.decrypt()
        return outputs

    return test


def rows(quick: bool = False) -> Iterator[Row]:
    """Everything that `modelseal bench he` prints."""
    network, runs = (QUICK_NETWORK, 1) if quick else (IMAGE_NETWORK, 5)
    yield from _against_tenseal(network, runs, peer_runs=1 if quick else 3)
    yield from _overheads(network, runs)
    yield _per_multiplication(QUICK_NETWORK if quick else PUBLISHED_NETWORK, runs)
    yield _samples(network, QUICK_COUNTS if quick else SAMPLE_COUNTS, runs)
    yield from _request_proof(network, runs)
    yield _memory(network)
    yield _error(IMAGE_NETWORK)
    yield _error(TABLE_NETWORK)
    yield _table_throughput(runs)
    yield from network_rows(quick)
    yield from relu_rows(quick)
    yield from tree_rows(quick, 1 if quick else 3)
    task = Task.make(network, 1)
    yield from cost_rows(task.model, task.plan, runs)


def _against_tenseal(network: tuple[int, ...], runs: int, *, peer_runs: int) -> Iterator[Row]:
    """Yield samples per second of many, and seconds of one, against TenSEAL's for one, its keys left out."""
    many, one = Task.make(network, THROUGHPUT_SAMPLES), Task.make(network, 1)
    # Not in turn: what one frees the other would have to ask the system for again.
    tenseal = measure(tenseal_test(one), peer_runs, warm_up=False)
    throughput, latency = measure(many.run, runs), measure(one.run, runs)
    peer = "TenSEAL CKKSVector.mm"
    value, peer_value = THROUGHPUT_SAMPLES / throughput.median, 1 / tenseal.median
    bar, holds = at_least(value / peer_value, 20_000)
    spread = throughput.spread
    yield Row("he.throughput", value, "samples/s", peer, peer_value, value / peer_value, bar, holds, runs, spread)
    value, peer_value = latency.median, tenseal.median
    bar, holds = at_least(peer_value / value, 15)
    yield Row("he.latency", value, "s", peer, peer_value, peer_value / value, bar, holds, runs, latency.spread)


def _overheads(network: tuple[int, ...], runs: int) -> list[Row]:
    """Measure evaluation alone, which is what the plain pass does too, and the whole test."""
    task = Task.make(network, OVERHEAD_SAMPLES)
    session = ClientSession(task.plan)
    request = session.encrypt(task.inputs)
    plain = measure(task.plain, 10 * runs)
    evaluation = measure(lambda: evaluate(task.plan, task.model, request, OVERHEAD_SAMPLES), runs)
    whole = measure(task.run, runs)
    found = []
    for name, timing in (("he.overhead", evaluation), ("he.overhead.whole_test", whole)):
        ratio = timing.median / plain.median
        bar, holds = at_most(ratio, 40) if name == "he.overhead" else ("", True)
        peer = "NumPy float64"
        found.append(Row(name, timing.median, "s", peer, plain.median, ratio, bar, holds, runs, timing.spread))
    return found


def _multiplications(network: tuple[int, ...]) -> int:
    """Return the multiplications of the plain network per sample."""
    return sum(inputs * outputs for inputs, outputs in itertools.pairwise(network))


def _per_multiplication(network: tuple[int, ...], runs: int) -> Row:
    """Seconds of evaluation, with all protection, per multiplication of the plain network."""
    task = Task.make(network, THROUGHPUT_SAMPLES)
    session = ClientSession(task.plan)
    request = session.encrypt(task.inputs)
    timing = measure(lambda: evaluate(task.plan, task.model, request, THROUGHPUT_SAMPLES), runs)
    value = 1e9 * timing.median / (THROUGHPUT_SAMPLES * _multiplications(network))
    peer_value = 1e9 * PUBLISHED_SECONDS / (PUBLISHED_SAMPLES * _multiplications(PUBLISHED_NETWORK))
    bar, holds = f"value <= {LARGEST_NS_PER_MAC:g}", value <= LARGEST_NS_PER_MAC
    peer = "CryptoLab, FHE benchmark suite, 10,000 samples of 484-128-10, not flooded (published)"
    return Row("he.ns_per_mac", value, "ns", peer, peer_value, value / peer_value, bar, holds, runs, timing.spread)


def _samples(network: tuple[int, ...], counts: tuple[int, ...], runs: int) -> Row:
    """Return the most that a test takes longer than one of more samples: 1 or less if no test does.

    Least times are compared: from some hundred samples to a batch the work is the same, and medians of the same work
    differ by as much as the machine is disturbed.
    """
    timings = measure_in_turn([Task.make(network, samples).run for samples in counts], runs)
    pairs = list(itertools.combinations(range(len(timings)), 2))
    few, many = max(pairs, key=lambda pair: timings[pair[0]].least / timings[pair[1]].least)
    value, peer_value = timings[few].least, timings[many].least
    bar, holds = at_most(value / peer_value, TIMING_NOISE)
    peer = f"a test of {counts[many]} samples, where {counts[few]} take longest against more; the least of all runs"
    return Row("he.samples", value, "s", peer, peer_value, value / peer_value, bar, holds, runs, timings[few].spread)


def _request_proof(network: tuple[int, ...], runs: int) -> Iterator[Row]:
    """Seconds and bytes of the public key's proof, made and checked, against the rest of a test of 50 samples."""
    task = Task.make(network, PROOF_SAMPLES)
    plan = task.plan.for_samples(PROOF_SAMPLES)
    ring = plan_parameters(plan)
    key = SecretKey(ring)
    public = key.public_key()
    first, second = public.expand(ring.all_primes)
    statement = Statement(Form(ring.degree, ring.all_primes), first, second, public.seed, bytes(32))
    proof = measure(lambda: statement.verify(statement.prove(-key.coefficients(), key.error(public))), 5 * runs)
    rest = measure(task.run, runs).median - proof.median
    size = statement.form.byte_count
    others = plan.request_bytes(PROOF_SAMPLES) + plan.response_bytes(PROOF_SAMPLES) - size
    peer = "the rest of a test of 50 samples"
    for name, unit, value, whole in (
        ("he.request_proof", "s", proof.median, rest),
        ("he.request_proof.bytes", "bytes", float(size), float(others)),
    ):
        bar, holds = at_most(value / whole, 0.1)
        yield Row(name, value, unit, peer, whole, value / whole, bar, holds, runs, proof.spread)


def _memory(network: tuple[int, ...]) -> Row:
    """Peak of a process that holds the request and evaluates it, above what it used before."""
    code = f"from benchmarks.he import print_memory; print_memory({network})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak, request = (int(word) for word in result.stdout.split()[-2:])
    bar, holds = at_most(peak / request, 3)
    return Row("he.memory", peak, "bytes", "encrypted request", request, peak / request, bar, holds)


def print_memory(network: tuple[int, ...]) -> None:
    """Peak resident bytes above the start, and bytes of the request; to be run in a fresh process."""
    Task.make((4, 2), 1).run()
    task = Task.make(network, 4096)
    before = peak_bytes()
    session = ClientSession(task.plan)
    request = session.encrypt(task.inputs)
    evaluate(task.plan, task.model, request, len(task.inputs))
    print(peak_bytes() - before, len(request))


def _error(widths: tuple[int, ...]) -> Row:
    """Largest error of 256 samples against the plan's prediction."""
    task = Task.make(widths, 256)
    error = float(np.abs(task.run() - task.plain()).max())
    ratio = error / task.plan.expected_error
    bar, holds = at_most(ratio, 1)
    name = "-".join(map(str, widths))
    return Row(f"he.error.{name}", error, "absolute", "planned bound", task.plan.expected_error, ratio, bar, holds)


def _table_throughput(runs: int) -> Row:
    task = Task.make(TABLE_NETWORK, 4096)
    timing = measure(task.run, runs)
    return Row("he.throughput.30-16-2", 4096 / timing.median, "samples/s", runs=runs, spread=timing.spread)


def sweeps(quick: bool = False) -> Iterator[Sweep]:
    """Sweep samples, features, depth."""
    width = 64 if quick else 784
    yield _sweep("samples", (1, 50, 500, 4000, 8000), lambda n: Task.make((width, 64, 10), n))
    yield _sweep("features", (16, 64, 256) if quick else (16, 64, 256, 1024), lambda n: Task.make((n, 16, 2), 256))
    yield _sweep("hidden layers", (0, 1, 2), lambda n: Task.make((30, *[16] * n, 2), 256))


def _sweep(axis: str, points: tuple[int, ...], make: Callable[[int], Task]) -> Sweep:
    seconds, sizes, errors = [], [], []
    for point in points:
        task = make(point)
        started = time.perf_counter()
        outputs = task.run()
        seconds.append(time.perf_counter() - started)
        sizes.append(task.plan.for_samples(point).request_bytes(point))
        errors.append(float(np.abs(outputs - task.plain()).max()))
    series = (
        Series("seconds", "s", tuple(seconds)),
        Series("request", "bytes", tuple(sizes)),
        Series("largest error", "absolute", tuple(errors)),
    )
    return Sweep(f"he.{axis.replace(' ', '_')}", axis, points, series)
