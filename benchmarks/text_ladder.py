"""Which score of token sequences sees which fault: the numbers behind the tables of docs/text-metrics.md.

    python benchmarks/text_ladder.py [FIGURES.json]            the ladder, on $AGON_DATA/text_coco
    python benchmarks/text_ladder.py --models                  the ladder by Fréchet distance and by language models of n-grams
    python benchmarks/text_ladder.py --rows [FOLDER]           human rows, and rows of FOLDER/*.txt (a sentence a line, tokens by spaces)

The ladder: for each of three seeds the 10,000 training captions are cut in two by chance: 5,000 are the training text, the other 5,000 stand for a
perfect generator, and each fault damages these a little more. References are all 10,000 test captions. About two
minutes of one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from nltk.tokenize import NLTKWordTokenizer
from torch import Tensor

from agon.metrics import ngrams
from agon.metrics.encoder import SentenceEncoder, count
from agon.metrics.frechet import frechet_distance
from agon.metrics.kneser_ney import nats_a_token
from agon.metrics.moments import Moments
from agon.spaces.tokens import END, FIRST, PAD

Text = list[list[str]]
NEAREST = 500  # samples whose nearest training sentence is looked for: it takes as long as all the rest together
MODELS = ("fd", "lm", "reverse_lm")
SHOWN = ("bleu2", "bleu4", "self_bleu2", "self_bleu4", "unique", "distinct2", "novelty4", "length", "nearest", "copies")


def captions(name: str) -> Text:
    """Captions of `image` (training) or `test`, by NLTK's word tokenizer."""
    path = Path(os.environ["AGON_DATA"]) / "text_coco" / f"{name}_coco.txt.gz"
    return [NLTKWordTokenizer().tokenize(line) for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()]


def figures(samples: Text, training: Text, references: Text) -> dict[str, float]:
    """Every score of the samples."""
    near = ngrams.nearest(samples[:NEAREST], training).distance
    found = {f"bleu{n}": v for n, v in ngrams.bleu(samples, references).items()}
    found |= {f"self_bleu{n}": v for n, v in ngrams.self_bleu(samples).items()}
    found |= {f"distinct{n}": v for n, v in ngrams.distinct(samples).items()}
    found |= {f"novelty{n}": v for n, v in ngrams.novelty(samples, training).items()}
    found |= {"unique": ngrams.unique_share(samples), "length": ngrams.lengths(samples)["mean"]}
    return found | {"nearest": float(np.mean(near)), "copies": float(np.mean(near == 0))}


def model_figures(samples: Text, training: Text, references: Text) -> Callable[[Text], dict[str, float]]:
    """A function to the Fréchet distance to the training text, and nats a token under a language model of it, and the other way round."""
    code = {
        word: FIRST + k
        for k, word in enumerate(sorted({word for text in (training, samples, references) for sentence in text for word in sentence}))
    }
    longest = 1 + max(len(s) for text in (training, samples, references) for s in text)

    def packed(text: Text) -> Tensor:
        rows = [[*(code[word] for word in s), END] for s in text]
        return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])

    x, real, vocabulary = packed(training), packed(references).numpy(), FIRST + len(code)
    encoder = SentenceEncoder(count(x, vocabulary), "", 0)
    known = Moments.of(encoder(x).features)

    def figures(text: Text) -> dict[str, float]:
        y = packed(text)
        seen = Moments.of(encoder(y).features)
        return {
            "fd": frechet_distance(seen.mean, seen.cov, known.mean, known.cov), "lm": nats_a_token(x.numpy(), y.numpy(), vocabulary)[0],
            "reverse_lm": nats_a_token(y.numpy(), real, vocabulary)[0],
        }  # fmt: skip

    return figures


def rungs(samples: Text, training: Text, rng: np.random.Generator) -> dict[str, Text]:
    """The samples, and the samples damaged."""
    made = {"as they are": samples}
    for share in (0.05, 0.15, 0.4):
        made[f"{share:.0%} of the words dropped"] = [[word for word in s if rng.random() >= share] for s in samples]
    for share in (0.1, 0.3, 1.0):
        made[f"{share:.0%} of the sentences shuffled"] = [list(rng.permutation(s)) if rng.random() < share else s for s in samples]
    for times in (2, 5, 20):
        made[f"each sentence {times} times"] = (samples[: -(-len(samples) // times)] * times)[: len(samples)]
    frequent = [list(words) for words, _ in Counter(map(tuple, samples)).most_common()]
    # The sentences a generator would say that plays safe: whatever the training text says most alike.
    safe = [samples[k] for k in np.argsort(-ngrams.bleu_each(samples, training, (4,))[:, 0], kind="stable")]
    for kind, some in (("most frequent", frequent), ("safest", safe)):
        for kept in (1000, 100, 10):
            made[f"only the {kept} {kind}"] = [some[k] for k in rng.integers(0, kept, len(samples))]
    for share in (0.1, 0.3, 1.0):
        made[f"{share:.0%} training sentences"] = [t if rng.random() < share else s for s, t in zip(samples, training, strict=True)]
    return made


def ladder(seeds: int, models: bool = False) -> dict[str, list[dict[str, float]]]:
    """Figures of every rung, one for each seed; models: those of `model_figures` instead."""
    everything, references = captions("image"), captions("test")
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(everything))
        training, samples = ([everything[k] for k in half] for half in np.array_split(order, 2))
        measured = model_figures(samples, training, references) if models else lambda text, t=training: figures(text, t, references)
        for name, damaged in rungs(samples, training, rng).items():
            found.setdefault(name, []).append(measured(damaged))
    return found


def print_table(rows: dict[str, list[dict[str, float]]], shown: tuple[str, ...]) -> None:
    """Means over seeds, and on the first row ± the spread (sd)."""
    print("| | " + " | ".join(shown) + " |\n" + "|---" * (len(shown) + 1) + "|")
    for place, (name, each) in enumerate(rows.items()):
        cells = []
        for key in shown:
            values = [figure[key] for figure in each]
            spread = f" ± {np.std(values, ddof=1):.3f}" if place == 0 and len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def print_rows(folder: Path | None) -> None:
    """BLEU-2..5 against the test captions and self-BLEU-2..5 of 10,000 training captions and of published samples."""

    def row(samples: Text, references: Text) -> list[dict[str, float]]:
        quality, sameness = ngrams.bleu(samples, references), ngrams.self_bleu(samples)
        return [
            {f"bleu{n}": v for n, v in quality.items()}
            | {f"self{n}": v for n, v in sameness.items()}
            | {"unique": ngrams.unique_share(samples)}
        ]

    train, test = captions("image"), captions("test")
    stop: Callable[[Text], Text] = lambda text: [s if s[-1:] == ["."] else [*s, "."] for s in text]  # noqa: E731
    rows = {"training captions": row(train, test), "test captions, references the training ones": row(test, train)}
    rows |= {
        "training captions, a full stop to each": row(stop(train), stop(test)),
        "test captions, the same": row(stop(test), stop(train)),
    }
    for path in sorted(folder.glob("*.txt")) if folder else []:
        rows[path.stem] = row([line.split() for line in path.read_text("utf-8").splitlines() if line.strip()], test)
    print_table(rows, tuple(rows["training captions"][0]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="?", type=Path)
    parser.add_argument("--rows", nargs="?", const=None, default=False, type=Path)
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    if asked.rows is not False:
        print_rows(asked.rows)
        return
    torch.set_num_threads(1)
    found = ladder(asked.seeds, asked.models)
    print_table(found, MODELS if asked.models else SHOWN)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
