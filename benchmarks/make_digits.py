"""Write src/agon/data/digits.npz from scikit-learn's handwritten digits: python benchmarks/make_digits.py

Source: UCI "Optical Recognition of Handwritten Digits", test part (Alpaydin and Kaynak 1998, CC BY 4.0), as shipped by
scikit-learn (BSD-3-Clause). Values 0..16 become 0..255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

PLACE = Path(__file__).parent.parent / "src" / "agon" / "data" / "digits.npz"

if __name__ == "__main__":
    digits = load_digits()
    x = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    np.savez_compressed(PLACE, x=x, y=digits.target.astype(np.uint8))
    print(f"{PLACE}: {len(x)} digits, {PLACE.stat().st_size} bytes")
