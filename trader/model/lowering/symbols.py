"""What a tensor of the ONNX file stands for while it is lowered.

A tensor is one of three things: a constant (a NumPy array), a value of the graph up to an element-wise affine map
(`Affine`), or something that only the buyer computes, in clear (`Tail`).

Affine maps are carried along instead of being turned into nodes: a scaler, a bias or a folded normalisation costs
nothing if the next linear layer takes it up, or the previous one can.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trader.model.postprocessing import PostProcessingKind


@dataclass(frozen=True, eq=False, slots=True)
class Affine:
    """scale ⊙ base + offset, per sample. Two of them are the same only if they are one object.

    Attributes:
        base: name of a graph value with as many elements.
        shape: per-sample shape that the ONNX file gives it.
        scale: of `shape`, or None for 1.
        offset: of `shape`, or None for 0.
    """

    base: str
    shape: tuple[int, ...]
    scale: NDArray[np.float64] | None = field(default=None, repr=False)
    offset: NDArray[np.float64] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Tail:
    """A function of raw outputs that is left to the buyer.

    Attributes:
        value: the raw outputs.
        kind: what is computed from them.
        operator: ONNX operator that began the tail.
        node: its name.
        labels: class labels, if known.
        complement: whether this is 1 minus a sigmoid, on its way to becoming the first of two columns.
    """

    value: Affine
    kind: PostProcessingKind
    operator: str
    node: str
    labels: tuple[int, ...] | tuple[str, ...] = ()
    complement: bool = False


Symbol: TypeAlias = Affine | Tail | NDArray[Any]
