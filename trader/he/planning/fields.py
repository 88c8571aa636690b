"""What a plan states, as it is written into the manifest: names, ranges and one spelling of each value.

`trader.he.planning.plan` says what follows from it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from trader.he.program.activations import DEGREES

MOST_STATISTICAL_BITS = 840
"""Stated of flooding at most, however little it hides: a model without weights makes no noise at all."""


def _from_hex(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        scale = float.fromhex(value)
    except OverflowError as error:
        raise ValueError("a scale beyond any float") from error
    if scale.hex() != value:
        raise ValueError(f"{value!r} is not how {scale.hex()} is written")  # one form, one digest
    return scale


_Scale = Annotated[
    float,
    Field(ge=1.0, le=2.0**900),
    BeforeValidator(_from_hex),
    PlainSerializer(float.hex, when_used="json"),
]
"""Exact, as hexadecimal: canonical JSON has no whole numbers of more than 53 bits."""


def _no_number(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    return value


No = Annotated[Literal[False], BeforeValidator(_no_number)]
"""What a layout doesn't choose. A `Literal` alone takes 0 for False, and one plan would have several spellings."""
Yes = Annotated[Literal[True], BeforeValidator(_no_number)]
Zero = Annotated[Literal[0], BeforeValidator(_no_boolean)]
One = Annotated[Literal[1], BeforeValidator(_no_boolean)]


class ActivationPlan(BaseModel):
    """The polynomial that stands for an activation: Σ c_k·T_k(x/radius) in Chebyshev polynomials, for |x| ≤ radius.

    Attributes:
        node: Name in the public graph.
        coefficients: c_0, c_1, …
        radius: Largest |x| that it was fitted for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    node: Annotated[str, Field(min_length=1, max_length=64)]
    coefficients: Annotated[tuple[float, ...], Field(min_length=1, max_length=DEGREES[-1] + 1)]
    radius: Annotated[float, Field(ge=2.0**-64, le=2.0**64)]


class PlanFields(BaseModel):
    """What every plan states, whatever its layout.

    Attributes:
        version: Of this form.
        ring_degree: N; a ciphertext holds N/2 slots.
        modulus_bits: Sizes of the primes, the special primes last.
        special_primes: Number of primes that are of keys only.
        parameters_id: SEAL's hash of (scheme, N, primes), hex: pins the primes that follow from the sizes.
        features: F: numbers that a sample is encrypted as.
        edges: Of an ensemble of trees, by column: how many edges its values are compared with; they are then encrypted
            as thermometer codes (`trader.model.thermometer`), F is the sum, and outputs are integers.
        outputs: O.
        components: Polynomials per ciphertext of the response: 2, one more for each squaring, unless keys switch these.
        scale_bits: s, the grid of inputs and parameters.
        input_scale_bits: Scale at which inputs are encrypted.
        output_scale: Scale of the decrypted outputs.
        dropped_primes: How many primes each level's refresh drops, the last ones first; empty where nothing is
            refreshed.
        response_primes: Number of primes of a ciphertext of the response, the first ones: as few as hold an output,
            since what a modulus holds beyond that only serves who sends something else than samples.
        activations: Polynomials, in the order of the graph.
        input_magnitude: Largest |input| that the plan allows, real units.
        flooding_bits: Flooding noise is uniform in [-2^b, 2^b) per coefficient, where all coefficients are visible;
            see `visible_flooding_bits`.
        statistical_bits: log2 of the ratio between the flooding noise and the noise that it hides, where all
            coefficients are visible: least of all. `trader.he.planning.search` says how many it aims at, and when it is
            fewer. The rounding of a packed plan's weights doesn't count: it is part of the model that is answered.
        approximation_error: Part of the expected error that polynomials for activations make.
        expected_error: Bound on the output's error against the canonical model, noise at six standard deviations.
        weight_scale_bits: Scale of encoded weights; 0 where weights are integers.
        paired: Whether two samples share each slot, as real and imaginary parts, up to the first products.
        joined_features: Whether two features share each ciphertext, as real and imaginary parts.
        joined: Whether two outputs share each slot of the response, as real and imaginary parts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[3] = 3
    ring_degree: Literal[1024, 2048, 4096, 8192, 16384, 32768]
    modulus_bits: Annotated[tuple[Annotated[int, Field(ge=14, le=60)], ...], Field(min_length=2, max_length=40)]
    parameters_id: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
    features: Annotated[int, Field(ge=1, le=1 << 20)]
    edges: Annotated[tuple[Annotated[int, Field(ge=0, le=1 << 16)], ...], Field(max_length=1 << 16)] = ()
    outputs: Annotated[int, Field(ge=1, le=1 << 16)]
    components: Annotated[int, Field(ge=2, le=17)]
    scale_bits: Annotated[int, Field(ge=0, le=24)]
    input_scale_bits: Annotated[int, Field(ge=1, le=80)]
    output_scale: _Scale
    dropped_primes: Annotated[tuple[Annotated[int, Field(ge=0, le=39)], ...], Field(max_length=39)] = ()
    response_primes: Annotated[int, Field(ge=1, le=39)]
    activations: Annotated[tuple[ActivationPlan, ...], Field(max_length=256)] = ()
    input_magnitude: Annotated[float, Field(gt=0)]
    flooding_bits: Annotated[int, Field(ge=1, le=840)]
    statistical_bits: Annotated[int, Field(ge=0, le=MOST_STATISTICAL_BITS)]
    approximation_error: Annotated[float, Field(ge=0)] = 0.0
    expected_error: Annotated[float, Field(gt=0)]
    special_primes: int
    weight_scale_bits: int
    paired: bool
    joined_features: bool
    joined: bool
