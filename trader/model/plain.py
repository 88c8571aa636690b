"""The delivered model as an ordinary ONNX file."""

from trader.model.canonical import CanonicalModel
from trader.model.postprocessing import PostProcessing


def plain_model_bytes(
    model: CanonicalModel, post_processing: PostProcessing, input_exponents: tuple[int, ...] = ()
) -> bytes:
    """ONNX file with weights θq/2^s: input `input` float32 [N, F], output `output` after post-processing, `raw` before.

    The bytes are a function of the arguments alone; salt is left out.
    """
    raise NotImplementedError
