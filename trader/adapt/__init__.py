"""Networks with activations that are tested approximately, fine-tuned to ones that are tested exactly.

`adapt_model` is the main verb. It takes PyTorch (extra `adapt`), which is imported when it runs.
"""

from trader.adapt.adaptation import Adaptation, AdaptError, adapt_model

__all__ = ["AdaptError", "Adaptation", "adapt_model"]
