"""What the dictionary that is learnt without pairs gets right on Multi30k, with and without what it knows of spelling and of how common words are.

    AGON_DATA=… python benchmarks/dictionary.py [--seeds 0 1]

The data are those of `translation.py run --set unpaired`: the English of one half of the training pairs, the German of the other. The judge alone
reads the pairs: for a token the share of sentence pairs that it has in common with each token of the other language (Dice coefficient); an entry
is right that has half as much of it as the best. Printed for the 200 and 1,000 commonest tokens of either language, as a share of tokens and of
their uses; beside it the test file said word for word.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
import translation
from torch import Tensor

from agon.data import Data, dictionary, open_data
from agon.spaces import Tokens
from agon.spaces.tokens import UNKNOWN

WEIGHTS = {
    "neither": (0.0, 0.0),
    "spelling": (dictionary.SPELLING, 0.0),
    "how common": (0.0, dictionary.USAGE),
    "both": (dictionary.SPELLING, dictionary.USAGE),
}
COMMONEST = (200, 1_000)
LEAST = 0.02  # of the best Dice coefficient; what has less has no translation of its own


def dice(one: Tensor, other: Tensor, sizes: tuple[int, int]) -> Tensor:
    """Dice coefficients [V, W] of tokens over pairs of sentences int [n, L] and [n, S]."""
    tables = []
    for x, size in zip((one, other), sizes, strict=True):
        table = torch.zeros(len(x), size)
        table.scatter_(1, x.long(), 1.0)
        table[:, : UNKNOWN + 1] = 0
        tables.append(table)
    both = tables[0].T @ tables[1]
    return 2 * both / (tables[0].sum(0)[:, None] + tables[1].sum(0)[None]).clamp_min(1)


def right(entries: list[int], judge: Tensor, uses: Tensor) -> list[str]:
    """Shares in percent, of tokens and of their uses, of the entries for the commonest tokens."""
    found, best = torch.tensor(entries), judge.max(1).values
    good = (judge[torch.arange(len(found)), found] >= 0.5 * best) & (found > 0) & (best > LEAST)
    told = []
    for count in COMMONEST:
        top = uses.argsort(descending=True)[:count]
        told.append(f"{100 * good[top].float().mean():.0f} / {100 * (good[top] * uses[top]).sum() / uses[top].sum():.0f}")
    return told


def main() -> None:
    """Print a row for each way of learning and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = translation.place_of("unpaired")
    with tempfile.TemporaryDirectory() as place:
        path = translation.unpaired(folder, "unpaired", Path(place))
        data_set = open_data(Data(path=str(path), source="en", target="de", unpaired=True))
    space = data_set.space
    assert isinstance(space, Tokens) and space.source is not None and data_set.train.y is not None
    sides, names = (data_set.train.x, data_set.train.y), (space.names(), space.source.names())
    uses = [torch.bincount(side.long().flatten(), minlength=len(own)).float() for side, own in zip(sides, names, strict=True)]
    for one in uses:
        one[: UNKNOWN + 1] = 0
    english, german = translation.read_pairs(folder, "unpaired", "train")
    judge = dice(space.whole(german)[0], space.source.whole(english)[0], (len(names[0]), len(names[1])))
    tests, targets = translation.read_pairs(folder, "unpaired", "test")
    print(
        "| what is heard beside company | seed | German: 200, 1,000 commonest, tokens / uses | English | BLEU | chrF |\n|---|---|---|---|---|---|"
    )
    for label, (dictionary.SPELLING, dictionary.USAGE) in WEIGHTS.items():
        for seed in options.seeds:
            found = dictionary.learn(sides, names, seed=seed)
            assert found is not None
            shares = [
                ", ".join(right(entries, table, own))
                for entries, table, own in zip((found.there, found.back), (judge, judge.T), uses, strict=True)
            ]
            told = translation.scores(space.word_for_word(tests, found.back), targets, "unpaired")
            print(f"| {label} | {seed} | {shares[0]} | {shares[1]} | {told['BLEU']:.2f} | {told['chrF']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
