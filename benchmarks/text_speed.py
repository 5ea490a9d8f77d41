"""How many sentences a second of one processor core the text games learn from, at the sizes of the field's anchors.

    python benchmarks/text_speed.py [--seconds 10] [--repeats 3] [NAME ...]

One LSTM of 32 with embeddings of 32, 5,000 words, length 20, batches of 64: the players of SeqGAN (Yu et al. 2017, arXiv:1609.05473). A row is one kind of
step, played by the engine with everything it does in training; figures are sentences per processor second (median, least and most of the
repeats). Counted are sentences of the batch, not completions of them. One thread, CPU.

Anchors, measured on this kind of machine: likelihood 223 (TextGAN-PyTorch) and 416 (suragnair/seqGAN), a policy-gradient step with one reward a
sentence 80 (suragnair/seqGAN), 73 (TextGAN-PyTorch).
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from agon.engine import Engine
from agon.game import Game, Turn
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
from agon.testing import random_batch

BATCH = 64
SPACE = Tokens(length=20, vocabulary=5_003, ends=False)
NET = Recurrent(width=32, embed=32)
JUDGE = RecurrentCritic(width=32, embed=32)
ROWS: dict[str, tuple[Game, tuple[str, ...]]] = {
    "likelihood": (Likelihood(net=NET), ("speaker",)),
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


def _at_once(turn: Turn) -> Turn:
    return replace(turn, start=0, stop=float("inf"), repeat=1)


def speed(name: str, seconds: float) -> float:
    """Sentences per processor second of one kind of step."""
    game, wanted = ROWS[name]
    engine = Engine(game, SPACE, seed=0)
    chosen = [k for k, turn in enumerate(engine.turns) if turn.name in wanted]
    engine.turns, engine._losses = [_at_once(engine.turns[k]) for k in chosen], [engine._losses[k] for k in chosen]
    batches = [[random_batch(SPACE, BATCH, seed=k)] for k in range(8)]
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
    for name in options.names or ROWS:
        found = [speed(name, options.seconds) for _ in range(options.repeats)]
        print(f"| {name} | {statistics.median(found):.0f} | {min(found):.0f} | {max(found):.0f} |", flush=True)


if __name__ == "__main__":
    main()
