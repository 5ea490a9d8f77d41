"""How many sentences a second of one processor core the text games learn from, at the sizes of the field's anchors.

    python benchmarks/text_speed.py [--seconds 10] [--repeats 3] [NAME ...]

One LSTM of 32 with embeddings of 32, 5,000 words, length 20, batches of 64: the players of SeqGAN (Yu et al. 2017, arXiv:1609.05473). A row is one kind of
step, played by the engine with everything it does in training; figures are sentences per processor second (median, least and most of the
repeats, which go round the rows in turn). Counted are sentences of the batch, not completions of them. One thread, CPU.

Anchors, measured on this kind of machine: at 5,000 words and 20 tokens suragnair/seqGAN, likelihood 416 and a policy-gradient step with one reward a sentence
80; at 4,600 words and 37 tokens (COCO captions) TextGAN-PyTorch, likelihood 223. It computes all 37 places, padding too, so the row of its size has 37
real tokens in every sentence; the row behind that has captions as they are, 11 words and 26 places of padding.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from agon.engine import Engine
from agon.game import Batch, Game, Turn
from agon.games.cot import CoT
from agon.games.likelihood import Likelihood
from agon.games.maligan import MaliGAN
from agon.games.scratchgan import ScratchGAN
from agon.games.selfgan import SelfGAN
from agon.games.seqgan import SeqGAN
from agon.games.textgail import TextGAIL
from agon.networks.text.conv import ConvCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.spaces import Tokens
from agon.spaces.tokens import END, FIRST, PAD
from agon.testing import random_batch

BATCH = 64
SPACE = Tokens(length=20, vocabulary=5_003, ends=False)
WORDS = 11  # of a COCO caption, in the mean
PEER = Tokens(length=37, vocabulary=4_603, ends=False)  # what TextGAN-PyTorch computes
CAPTIONS = Tokens(length=38, vocabulary=4_603)
NET = Recurrent(width=32, embed=32)
JUDGE = RecurrentCritic(width=32, embed=32)
ROWS: dict[str, tuple[Game, tuple[str, ...]]] = {
    "likelihood": (Likelihood(net=NET), ("speaker",)),
    "likelihood, 37 tokens of 4,600 words": (Likelihood(net=NET), ("speaker",)),
    "likelihood, 11 words padded to 37": (Likelihood(net=NET), ("speaker",)),
    "policy gradient, one reward": (SeqGAN(net=NET, judge_net=JUDGE, rollouts=0), ("speaker", "baseline")),
    "seqgan, 1 roll-out": (SeqGAN(net=NET, judge_net=JUDGE, rollouts=1), ("speaker", "baseline")),
    "seqgan, 16 roll-outs": (SeqGAN(net=NET, judge_net=JUDGE), ("speaker", "baseline")),
    "seqgan, 16 roll-outs, cnn": (SeqGAN(net=NET, judge_net=ConvCritic()), ("speaker", "baseline")),
    "critic, rnn": (SeqGAN(net=NET, judge_net=JUDGE), ("critic",)),
    "critic, cnn": (SeqGAN(net=NET, judge_net=ConvCritic()), ("critic",)),
    "scratchgan, a round": (ScratchGAN(net=NET, judge_net=JUDGE), ("critic", "speaker", "baseline")),
    "maligan, a step": (MaliGAN(net=NET, judge_net=JUDGE), ("weigh", "speaker")),
    "cot, a round": (CoT(net=NET, mediator_net=NET), ("mediator", "speaker")),
    "textgail, a step": (TextGAIL(net=NET, judge_net=JUDGE), ("collect", "speaker")),
    "selfgan, a step": (SelfGAN(net=NET, judge_net=JUDGE), ("speaker",)),
}


SPACES = {"likelihood, 37 tokens of 4,600 words": PEER, "likelihood, 11 words padded to 37": CAPTIONS}  # of the others: SPACE


def _batch(space: Tokens, seed: int) -> Batch:
    """Random sentences; those with ends have WORDS words."""
    batch = random_batch(space, BATCH, seed=seed)
    if space.ends:
        x = torch.randint(FIRST, space.vocabulary, batch["x"].shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
        x[:, WORDS], x[:, WORDS + 1 :] = END, PAD
        batch["x"] = x
    return batch


def _at_once(turn: Turn) -> Turn:
    return replace(turn, start=0, stop=float("inf"), repeat=1)


def speed(name: str, seconds: float) -> float:
    """Sentences per processor second of one kind of step."""
    game, wanted = ROWS[name]
    space = SPACES.get(name, SPACE)
    engine = Engine(game, space, seed=0)
    chosen = [k for k, turn in enumerate(engine.turns) if turn.name in wanted]
    engine.turns, engine._losses = [_at_once(engine.turns[k]) for k in chosen], [engine._losses[k] for k in chosen]
    batches = [[_batch(space, k)] for k in range(8)]
    engine.round(batches[0])
    rounds, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        engine.round(batches[rounds % 8])
        rounds += 1
    return rounds * BATCH / spent


def main() -> None:
    """Print a row for each kind of step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}; all if none is given")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| step | sentences/CPU-s | least | most |\n|---|---|---|---|")
    names = options.names or list(ROWS)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.repeats):  # in turn, so that a busy minute of the machine is not one row's alone
        for name in names:
            found[name].append(speed(name, options.seconds))
    for name, each in found.items():
        print(f"| {name} | {statistics.median(each):.0f} | {min(each):.0f} | {max(each):.0f} |", flush=True)


if __name__ == "__main__":
    main()
