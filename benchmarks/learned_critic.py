"""How much of the returns' scatter a learned critic takes away in ScratchGAN, after 150 rounds on the embedded grammar, seed 0.

    python benchmarks/learned_critic.py

Prints for two discounts the variance of returns about their mean (what baseline "mean" leaves) and the mean square of return less V. Half a minute.
"""

from __future__ import annotations

import torch

from agon.data import Data, open_data
from agon.data.loader import Loader
from agon.engine import Engine
from agon.estimators import critic_advantages
from agon.game import Batch, Clock, Dice
from agon.games.scratchgan import ScratchGAN
from agon.networks.text.recurrent import Recurrent, RecurrentCritic


def main() -> None:
    data_set = open_data(Data(path="arithmetic"))
    for discount in (0.23, 0.95):
        game = ScratchGAN(
            net=Recurrent(width=64, embed=64), judge_net=RecurrentCritic(width=64), baseline="critic", discount=discount,
            value_net=RecurrentCritic(width=64, dropout=0.0),
        )  # fmt: skip
        engine, loader = Engine(game, data_set.space, seed=0), Loader(data_set.train, 64, 0)
        for index in range(150):
            engine.round(loader.round(index))
        p, given = engine.players, Batch(loader.round(150)[0])
        p.dice = Dice(1, 0, 64, 64, torch.device("cpu"))
        with torch.no_grad():
            game._rewarded(p, given, Clock())
            gains, mask = given["returns"], given["mask"]
            left = critic_advantages(gains, game._expected(p, given), mask)[mask]
        print(f"discount {discount}: variance of returns {gains[mask].var():.3f}, mean square of advantages {left.square().mean():.3f}")


if __name__ == "__main__":
    main()
