"""Sheets of tiles -> one npz that `agon train` reads: python benchmarks/convert_cifar_sheets.py FOLDER OUT.npz

FOLDER holds CIFAR-10 as train_00.webp, train_01.webp … and test_00.webp …: sheets of 32×32 tiles, row by row, with one
uint8 label an image in train_labels.uint8 and test_labels.uint8. OUT.npz gets x, y, x_test, y_test and classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

TILE = 32
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def read_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [N, 32, 32, 3] and labels uint8 [N] of "train" or "test"."""
    sheets = [np.asarray(Image.open(place).convert("RGB")) for place in sorted(folder.glob(f"{part}_[0-9][0-9].webp"))]
    if not sheets:
        raise SystemExit(f"{folder} has no {part}_00.webp")
    tiles = [
        sheet.reshape(sheet.shape[0] // TILE, TILE, sheet.shape[1] // TILE, TILE, 3).transpose(0, 2, 1, 3, 4).reshape(-1, TILE, TILE, 3)
        for sheet in sheets
    ]
    labels = np.fromfile(folder / f"{part}_labels.uint8", dtype=np.uint8)
    return np.concatenate(tiles)[: len(labels)], labels


def convert(folder: Path, out: Path) -> None:
    """Write `out`."""
    (x, y), (x_test, y_test) = read_part(folder, "train"), read_part(folder, "test")
    np.savez(out, x=x, y=y, x_test=x_test, y_test=y_test, classes=np.array(CLASSES))
    print(f"{out}: {len(x)} training and {len(x_test)} test pictures, {out.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
