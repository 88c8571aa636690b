"""Pairs of classes that vote: how support vector machines tell several classes apart (one-vs-one).

Of c classes there are c(c - 1)/2 pairs, in the order 01, 02, ..., 12, .... Each has a decision, which here is positive
for the second class of its pair. A class has a vote for each pair that it wins, and that with most votes is the
answer, the first of several. With three classes and decisions (-2, 1, 0.5), 0 beats 1, 2 beats 0 and 2 beats 1: votes
are (1, 0, 2), the answer is class 2.

Everything here is as ONNX's operator SVMClassifier has it, but for the sign: its decisions are positive for the first
class. It is held against onnxruntime by `tests/unit/trader/model/test_one_vs_one.py`.
"""

import math

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]

MOST_CLASSES = 64
"""Votes in a delivered file take a square matrix of the pairs: of so many classes, of 16 MB."""
MOST_ROUNDS = 100
LARGEST_ERROR = 0.005
"""When coupling ends, times the number of classes: in libsvm, and so in scikit-learn and onnxruntime."""
LEAST_PROBABILITY = 1e-7
"""Of winning a pair."""


def pairs_of(classes: int) -> int:
    """Return how many pairs so many classes make."""
    return classes * (classes - 1) // 2


def classes_of(pairs: int) -> int:
    """Return how many classes make so many pairs; 0 if no number from 2 to `MOST_CLASSES` does."""
    classes = (1 + math.isqrt(1 + 8 * pairs)) // 2
    return classes if 2 <= classes <= MOST_CLASSES and pairs_of(classes) == pairs else 0


def members(classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the second class of each pair."""
    first, second = np.triu_indices(classes, 1)
    return first.astype(np.int64), second.astype(np.int64)


def decide(decisions: _Array) -> NDArray[np.int64]:
    """Return the class [n] with most votes, the first of several, for decisions [n, pairs]; 0 is for the second."""
    return np.asarray(_votes(decisions >= 0).argmax(axis=1))


def scores(decisions: _Array) -> _Array:
    """Return votes [n, classes] plus less than half a vote for how clear they were.

    That is s/(3·(|s| + 1)) for the sum s of a class's decisions. So scikit-learn makes a decision function of the shape
    "one against the rest". Here 0 is for the first of a pair.
    """
    first, second = members(classes_of(decisions.shape[1]))
    sums = decisions @ _incidence(second, first)
    return np.asarray(_votes(decisions > 0) + sums / (3 * (np.abs(sums) + 1)))


def could_change(decisions: _Array, distance: float) -> NDArray[np.bool_]:
    """Which samples [n] would have another class if decisions [n, pairs] moved by up to `distance` either way."""
    first, second = members(classes_of(decisions.shape[1]))
    won, near = decisions >= 0, np.abs(decisions) <= distance
    votes, answer = _votes(won), decide(decisions)[:, np.newaxis]
    to_lose = (near & won) @ _incidence(second) + (near & ~won) @ _incidence(first)
    to_win = (near & won) @ _incidence(first) + (near & ~won) @ _incidence(second)
    # A rival takes all that is near from everybody, and so does everybody from the answer: both can be at once.
    least, most = np.take_along_axis(votes - to_lose, answer, axis=1), votes + to_win
    rivals = np.arange(votes.shape[1])
    ahead = (most > least) | ((most == least) & (rivals < answer))
    return np.asarray((ahead & (rivals != answer)).any(axis=1))


def couple(logits: _Array) -> _Array:
    """Return probabilities [n, classes] for logits [n, pairs] of the second class of each pair.

    Algorithm 2 of Wu, Lin and Weng (2004), "Probability estimates for multi-class classification by pairwise coupling",
    with libsvm's constants: it ends where an error is below `LARGEST_ERROR` / classes, and so does this.
    """
    classes = classes_of(logits.shape[1])
    against = _against(logits, classes)
    q = -against * against.transpose(0, 2, 1)
    diagonal = np.arange(classes)
    q[:, diagonal, diagonal] = (against**2).sum(axis=1)
    p = np.full((len(logits), classes), 1 / classes)
    open_rows = np.arange(len(logits))
    for _ in range(MOST_ROUNDS):
        products = np.einsum("nij,nj->ni", q[open_rows], p[open_rows])
        total = (p[open_rows] * products).sum(axis=1)
        far = np.abs(products - total[:, np.newaxis]).max(axis=1) >= LARGEST_ERROR / classes
        open_rows = open_rows[far]
        if not open_rows.size:
            break
        p[open_rows] = _round(q[open_rows], p[open_rows], products[far], total[far])
    return p


def _round(q: _Array, p: _Array, products: _Array, total: _Array) -> _Array:
    """Return p after each class was brought up to date once, for products q·p and total p·q·p."""
    for place in range(p.shape[1]):
        own = q[:, place, place]
        step = (total - products[:, place]) / own
        total = (total + step * (step * own + 2 * products[:, place])) / (1 + step) ** 2
        p[:, place] += step
        products = (products + step[:, np.newaxis] * q[:, place]) / (1 + step)[:, np.newaxis]
        p = p / (1 + step)[:, np.newaxis]
    return p


def _against(logits: _Array, classes: int) -> _Array:
    """Return r [n, classes, classes]: r_ij is the probability that i wins against j; 0 on the diagonal."""
    first, second = members(classes)
    wins = np.clip(np.exp(-np.logaddexp(0, logits)), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    against = np.zeros((len(logits), classes, classes))
    against[:, first, second], against[:, second, first] = wins, 1 - wins
    return against


def _votes(second_wins: NDArray[np.bool_]) -> _Array:
    first, second = members(classes_of(second_wins.shape[1]))
    return second_wins @ _incidence(second) + ~second_wins @ _incidence(first)


def _incidence(plus: NDArray[np.int64], minus: NDArray[np.int64] | None = None) -> _Array:
    """Return a matrix [pairs, classes] of 1 where a class is in `plus`, -1 where it is in `minus`."""
    classes = classes_of(len(plus))
    matrix = np.eye(classes)[plus]
    return matrix if minus is None else matrix - np.eye(classes)[minus]
