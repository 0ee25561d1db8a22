"""scikit-learn's real data sets as CSV files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from sklearn import datasets


def write(folder: Path, name: str) -> Path:
    """iris or digits, with a header and names as labels."""
    found: Any = getattr(datasets, f"load_{name}")()
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*(f"feature {n}" for n in range(found.data.shape[1])), "label"])
        out.writerows([*map(float, row), str(found.target_names[kind])] for row, kind in zip(found.data, found.target, strict=True))
    return path
