"""Speed and memory as ratios against named rivals, on random weights: `python -m benchmarks`."""
