"""How often random models are said to learn in context: tiny GPT-2s on a task of three classes, through `compare`.

    python scripts/random_models.py [24]

Prints each model's claim and the number of those that hold; nominally at most one in twenty.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "experiments")]

from test_honest_claims import random_verdict  # noqa: E402 - after the path


def main() -> None:
    """Run as many as asked for."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    held = 0
    for seed in range(n):
        with tempfile.TemporaryDirectory() as directory:
            claim = random_verdict(seed, Path(directory))
        held += claim.verdict == "holds"
        print(
            f"{seed:3d} {claim.verdict:14s} {claim.measured:+.3f} [{claim.low:+.3f}, {claim.high:+.3f}] {claim.control}"
        )
    print(f"{held} of {n} random models are said to learn in context")


if __name__ == "__main__":
    main()
