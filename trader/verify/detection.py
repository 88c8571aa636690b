"""How likely an audit finds a seller out who answered the test with another model than the committed one."""

TYPICAL_DIFFERENCE_SHARE = 0.5
"""Share of samples on which two unrelated answers differ by more than the tolerance; the figure that reports assume."""


def detection_probability(audit_samples: int, difference_share: float = TYPICAL_DIFFERENCE_SHARE) -> float:
    """1 - (1 - δ)^k: at least one of k random audit samples shows a difference.

    Args:
        audit_samples: k; the buyer must choose them at random, after the answers.
        difference_share: δ, the share of samples on which the two models differ by more than the tolerance.
    """
    return float(1.0 - (1.0 - difference_share) ** audit_samples)
