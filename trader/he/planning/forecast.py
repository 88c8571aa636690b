"""What an encrypted test will cost: bytes exactly, seconds and memory by counting operations at this machine's speed.

The speeds are measured once per process, in some tens of milliseconds, by running the very kernels on small arrays.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

from trader.he import seal
from trader.he.layouts.packing import Packing
from trader.he.parallel import worker_count
from trader.he.planning.plan import HePlan
from trader.he.program.steps import (
    CONJUGATE_PRODUCT_COMPONENTS,
    FOLDED_SWITCHINGS,
    Affine,
    JoinedLinear,
    Normalise,
    Program,
    Stage,
)
from trader.he.ring import kernels
from trader.he.ring.arithmetic import BLOCK, CPU
from trader.he.ring.expansion import SEED_BYTES, Expansion
from trader.he.ring.residues import multiply_values
from trader.he.ring.transform import prime_tables
from trader.he.seal.keys import SMALLEST_SHARED_RESIDUES
from trader.model.graph import INPUT, Graph
from trader.model.nodes import Linear, Multiply, Square

TRIAL_DEGREE, TRIAL_PRIME = 4096, 1073692673
TRIAL_MODULUS_BITS = (31, 31, 31)
ZERO_ENCRYPTIONS = 2
"""Encryptions under the public key take so many times as long as those under the secret key, as measured."""
TRIAL_ROWS = 64
SESSION_BYTES = 4 << 20
"""Keys, tables and contexts."""
KEY_SWITCHING_TRANSFORMS = 2
"""What `trader.he.evaluation.switching` does per pair of primes, in transforms, as measured."""
DECRYPTION_TRANSFORMS = 8
"""SEAL's decryption and decoding of a component, in transforms, as measured."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Cost of one encrypted test, both sides, on this machine.

    Attributes:
        request_bytes: exact but for the header.
        response_bytes: exact but for the header.
        encrypt_seconds: at the buyer.
        evaluate_seconds: at the seller.
        decrypt_seconds: at the buyer.
        peak_bytes: largest memory of the seller, request included.
        expected_error: bound on an output's error, as in the plan.
    """

    request_bytes: int
    response_bytes: int
    encrypt_seconds: float
    evaluate_seconds: float
    decrypt_seconds: float
    peak_bytes: int
    expected_error: float


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Seconds per unit of work on one core.

    Attributes:
        encrypt: per residue: SEAL's encoding, encryption and serialization.
        transform: per residue: reduction and transform.
        expand: per residue: from a seed.
        load: per residue: to a tile.
        product: per multiplication with a weight.
        residue: per multiplication of residues.
    """

    encrypt: float
    transform: float
    expand: float
    load: float
    product: float
    residue: float


def forecast(plan: HePlan, graph: Graph, samples: int) -> Forecast:
    """Predict the cost of testing `samples` samples under a plan."""
    plan, speeds = plan.for_samples(samples), _speeds()
    program = plan.program(graph)
    sizes = {**_sizes(program, plan.packing(samples)), INPUT: plan.request_ciphertexts(samples)}
    cores, batches, parts = worker_count(), plan.batches(samples), len(plan.parts_of_batch(samples))
    stages = [program.stage(level) for level in range(program.depth + 1)]
    tiles = 0.0
    for stage in stages:
        times = batches * (parts if stage.level else 1)
        work = plan.level_primes(stage.level) * _work_per_position(program, stage, sizes, parts, speeds)
        tiles += times * plan.ring_degree * work
        tiles += times * _refresh_seconds(plan, program, stage.level, sizes, speeds)
    ciphertexts, keys = batches * sizes[INPUT], plan.switching_keys(samples) * plan.key_rows / plan.primes
    per_ciphertext = plan.ring_degree * plan.primes
    processes = cores if ciphertexts * per_ciphertext >= SMALLEST_SHARED_RESIDUES else 1
    encrypt = 2 * per_ciphertext * (ciphertexts / processes + keys) * speeds.encrypt
    protect = _protection_seconds(plan, samples, speeds)
    products, switchings = _map_seconds(plan, samples, speeds)
    splits = sum(sizes[step.name] for step in program.splits if step.switched)
    folds = FOLDED_SWITCHINGS * sum(map(len, plan.visible(samples))) if program.conjugate else 0
    tiles += (batches * splits + folds) * _switching_seconds(plan, plan.primes, speeds)
    request, response = plan.request_bytes(samples), plan.response_bytes(samples)
    expanded = sizes[INPUT] * plan.primes * plan.ring_degree * 4
    components = CONJUGATE_PRODUCT_COMPONENTS * parts if program.conjugate else 2
    scratch = expanded + cores * 8 * BLOCK * (2 * sizes[INPUT] + components * max(sizes.values()))
    return Forecast(
        request_bytes=request,
        response_bytes=response,
        encrypt_seconds=encrypt,
        evaluate_seconds=(tiles + protect + products) / cores + switchings,
        decrypt_seconds=plan.response_bytes(samples) / 4 * DECRYPTION_TRANSFORMS * speeds.transform,
        peak_bytes=request + response + scratch + SESSION_BYTES + _kept_bytes(plan, program, stages, sizes, parts),
        expected_error=plan.expected_error,
    )


def _protection_seconds(plan: HePlan, samples: int, speeds: _Speeds) -> float:
    """Noise for the phase, and encryptions of zero under the public key for all components."""
    ciphertexts = sum(map(len, plan.visible(samples)))
    polynomials = ciphertexts * plan.ring_degree * plan.response_primes
    zeros = ciphertexts * (plan.components - 1) * 2 * plan.primes * plan.ring_degree
    noise = polynomials * (2 * speeds.transform + plan.components * speeds.residue)
    return noise + zeros * ZERO_ENCRYPTIONS * speeds.encrypt


def _map_seconds(plan: HePlan, samples: int, speeds: _Speeds) -> tuple[float, float]:
    """Affine maps of a packed plan: products with encoded diagonals, which cores share; rotations, which they don't."""
    layouts = plan.map_layouts(samples)
    residues = plan.primes * plan.ring_degree
    products = sum(layout.products for layout in layouts) * residues * (2 * speeds.residue + 2 * speeds.transform)
    return products, sum(layout.switchings for layout in layouts) * _switching_seconds(plan, plan.primes, speeds)


def _switching_seconds(plan: HePlan, primes: int, speeds: _Speeds) -> float:
    """Key switching of a ciphertext, a transform per digit and prime, on one core."""
    pairs = -(-primes // plan.special_primes) * (primes + plan.special_primes)
    return plan.ring_degree * pairs * KEY_SWITCHING_TRANSFORMS * speeds.transform


def _work_per_position(program: Program, stage: Stage, sizes: Mapping[str, int], parts: int, speeds: _Speeds) -> float:
    """Seconds for one coefficient position modulo one prime: loading, products with weights, and of ciphertexts."""
    counts = program.components
    seconds = sum(counts[name] * sizes[name] for name in stage.reads) * speeds.load
    if INPUT in stage.reads:
        seconds += sizes[INPUT] * speeds.expand
    for step in stage.steps:
        size = sizes[step.name] * (parts if step.name in program.conjugate and program.shared else 1)
        match step:
            case Linear() | JoinedLinear():
                inputs = program.graph.parameters[step.parameter].inputs
                seconds += counts[step.name] * size * (inputs * speeds.product + speeds.residue)
            case Square() | Multiply():
                pairs = math.prod(counts[name] for name in (*step.inputs, *step.inputs)[:2])
                seconds += size * pairs * speeds.residue
            case Normalise() | Affine():
                pass
            case _:
                seconds += counts[step.name] * size * speeds.residue
    return seconds


def _refresh_seconds(plan: HePlan, program: Program, level: int, sizes: Mapping[str, int], speeds: _Speeds) -> float:
    ciphertexts = sum(sizes[step.name] for step in program.refreshes(level))
    return ciphertexts * _switching_seconds(plan, plan.level_primes(level), speeds)


def _kept_bytes(plan: HePlan, program: Program, stages: list[Stage], sizes: Mapping[str, int], parts: int) -> int:
    """Return what crosses levels, where it is most, or outputs in conjugate form; and the keys."""
    if program.conjugate:
        outputs = parts * program.components[program.graph.output] * sizes[program.graph.output]
        return 4 * plan.ring_degree * (outputs * plan.primes + 2 * FOLDED_SWITCHINGS * plan.key_rows)
    if not program.depth:
        return 0
    largest = 0
    for stage in stages:
        words = sum(program.components[name] * sizes[name] for name in {*stage.reads, *stage.targets} - {INPUT})
        refreshed = 2 * sum(sizes[step.name] for step in program.refreshes(stage.level))
        largest = max(largest, (words + refreshed) * plan.level_primes(stage.level))
    keys = 2 * plan.key_rows
    return 4 * plan.ring_degree * (largest + keys)


def _sizes(program: Program, packing: Packing) -> dict[str, int]:
    """Ciphertexts of every value."""
    sizes = {INPUT: program.graph.features, **{step.name: math.prod(step.shape) for step in program.steps}}
    return {name: packing.ciphertexts(size) for name, size in sizes.items()}


@lru_cache(maxsize=1)
def _speeds() -> _Speeds:
    """Measure this machine; the first call also loads or compiles the kernels."""
    residues = np.zeros((TRIAL_ROWS, TRIAL_DEGREE), dtype=np.uint32)
    tables, message = prime_tables(TRIAL_DEGREE, TRIAL_PRIME), np.zeros(TRIAL_DEGREE)
    key = seal.SecretKey(seal.parameters(TRIAL_DEGREE, TRIAL_MODULUS_BITS))
    slots = np.random.default_rng(0).normal(size=TRIAL_DEGREE // 2)
    tile = np.zeros((TRIAL_ROWS, 2, BLOCK))
    weights = CPU.prepare_weights(np.ones((TRIAL_ROWS, TRIAL_ROWS), dtype=np.int32), TRIAL_PRIME)

    def transform() -> None:
        kernels.add_doubles(message, TRIAL_PRIME, 1, residues[0])
        tables.forward(residues[0])

    def load() -> None:
        for component in range(2):
            kernels.centre(residues[:, :BLOCK], TRIAL_PRIME, tile[:, component])

    seeds = Expansion.of([bytes(SEED_BYTES)] * TRIAL_ROWS, (TRIAL_PRIME,), TRIAL_DEGREE)
    expanded = np.empty((TRIAL_ROWS, BLOCK), dtype=np.uint32)

    with threadpool_limits(1, user_api="blas"):
        return _Speeds(
            encrypt=_seconds(lambda: key.encrypt(slots, 2.0**30)) / (4 * TRIAL_DEGREE),
            transform=_seconds(transform) / TRIAL_DEGREE,
            expand=_seconds(lambda: seeds.write(0, 0, expanded)) / expanded.size,
            load=_seconds(load) / tile.size,
            product=_seconds(lambda: CPU.multiply_weights(weights, tile, TRIAL_PRIME)) / (TRIAL_ROWS * tile.size),
            residue=_seconds(lambda: multiply_values(tile, tile, TRIAL_PRIME)) / (2 * tile.size),
        )


def _seconds(work: Callable[[], object]) -> float:
    """Best of a few runs."""
    work()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
