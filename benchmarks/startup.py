"""Start-up: seconds of wall clock until an answer, best of five fresh processes.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time

CASES = {
    "import agon": [sys.executable, "-c", "import agon"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "agon --help": [sys.executable, "-m", "agon", "--help"],
    "agon recipes": [sys.executable, "-m", "agon", "recipes"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    """Print a table."""
    print("| what | s |\n|---|---|")
    for name, command in CASES.items():
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            best = min(best, time.perf_counter() - began)
        print(f"| `{name}` | {best:.2f} |")


if __name__ == "__main__":
    main()
