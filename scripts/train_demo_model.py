"""Train a model of the demo and write it with its data: MODEL.onnx, DATASET-test.npz (x, y), DATASET-calibration.npy.

Usage: python scripts/train_demo_model.py {breast-cancer,digits} OUT
"""

import sys
from pathlib import Path

import numpy as np

from trader.demo.training import HIDDEN, train_demo_model


def main() -> None:
    """Train on the data set named first on the command line, write to the folder named second."""
    if len(sys.argv) != 3 or sys.argv[1] not in HIDDEN:
        sys.exit(__doc__)
    dataset, out = sys.argv[1], Path(sys.argv[2])
    model = train_demo_model(dataset)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{dataset}.onnx").write_bytes(model.onnx_bytes)
    np.savez(out / f"{dataset}-test.npz", x=model.test_samples, y=model.test_labels)
    np.save(out / f"{dataset}-calibration.npy", model.training_samples)
    print(f"{dataset}: {model.accuracy:.1%} of {len(model.test_labels)} held-out rows, in {out}")


if __name__ == "__main__":
    main()
