"""Runs forge's invariants and fuzz tests (`contracts/test/*.t.sol`) on the committed artifacts."""

import subprocess

import pytest

from contracts.published import ARTIFACTS_PATH

ROOT = ARTIFACTS_PATH.parents[1]
FORGE = ROOT / "node_modules" / ".bin" / "forge"


@pytest.mark.slow
@pytest.mark.published
@pytest.mark.skipif(not FORGE.exists(), reason="needs `npm ci` in contracts/")
def test_the_invariants_hold_over_random_moves() -> None:
    """256 walks of 128 moves around trades, and around bounties; 256 trades for each fuzz test. `make fuzz`: more."""
    result = subprocess.run([FORGE, "test", "--color", "never"], cwd=ROOT, capture_output=True, text=True, check=False)
    # The npm package's launcher loses forge's exit status: what forge says counts.
    assert "7 tests passed, 0 failed" in result.stdout, result.stdout[-4000:] + result.stderr[-2000:]
    assert result.stdout.count("(runs: 256, calls: 32768, reverts: 0)") == 2
