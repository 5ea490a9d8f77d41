"""Human rows of the named protocols of text: real training sentences in the place of samples. Prints the table of docs/text-metrics.md.

    python benchmarks/text_protocols.py texygen-coco=$AGON_DATA/text_coco texygen-emnlp-half=$AGON_DATA/text_emnlp

A protocol of an own split takes half of the text as held out. Half a minute of one thread.
"""

from __future__ import annotations

import sys

from agon.data import Data, open_data
from agon.metrics.protocols import human_row, protocol_of


def main() -> None:
    print("| protocol | N | references | BLEU-2 … 5 | self-BLEU-2 … 5 | unique | data |\n|---|---|---|---|---|---|---|")
    for word in sys.argv[1:]:
        name, _, path = word.partition("=")
        protocol = protocol_of(name)
        data_set = open_data(Data(path=path, holdout=0.5 if protocol.own else 0.1))
        row = human_row(protocol, data_set)
        bleu, alike = (" ".join(f"{row[f'{kind}{n}']:.3f}" for n in (2, 3, 4, 5)) for kind in ("bleu", "self_bleu"))
        print(
            f"| `{name}` | {protocol.samples:,} | {protocol.references:,} | {bleu} | {alike} | {row['unique']:.3f} | {data_set.content_hash[:6]} |"
        )


if __name__ == "__main__":
    main()
