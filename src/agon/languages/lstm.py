"""The oracle of the field: an LSTM with random weights speaks, and its exact likelihood judges (Yu et al. 2017, arXiv:1609.05473, sec. 5.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.languages import chunks
from agon.layers.recurrent import LSTM

START = 0  # the token read before the first


class LSTMOracle(nn.Module):
    """Sentences of `length` words out of `vocabulary`, from an LSTM whose every weight and bias is drawn from N(0, 1).

    The weights depend on the seed alone: they are drawn on the CPU in a fixed order. It is another draw than the published one, which has 5.747
    nats a token at length 20; ours of seed 0 has 5.996 ± .008 (benchmarks/oracle.py). Likelihoods are float32 sums, exact to about 1e-5 nats a token.
    """

    def __init__(self, vocabulary: int = 5_000, length: int = 20, seed: int = 0, width: int = 32) -> None:
        super().__init__()
        if vocabulary < 2 or length < 1 or width < 1:
            raise InputError(f"an oracle of {vocabulary} words, length {length}, width {width}; expected at least 2, 1 and 1.")
        self.vocabulary, self.length, self.width = vocabulary, length, width
        with torch.random.fork_rng(devices=[]):  # the layers' own initialisation must not move the caller's random state
            self.embed, self.cell, self.read = nn.Embedding(vocabulary, width), LSTM(width, width), nn.Linear(width, vocabulary)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.randn(weights.shape, generator=generator))

    def _before(self, n: int) -> tuple[Tensor, Tensor]:
        zeros = self.embed.weight.new_zeros(n, self.width)
        return zeros, zeros

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator, *, batch: int = 500) -> tuple[Tensor, Tensor]:
        """n sentences int64 [n, length] and a mask of True, by inverting the distribution function at uniform noise from a CPU generator.

        Noise is drawn for all at once, so that the batch does not matter but for rounding. Words rarer than 1e-6 are drawn as float32 sums allow.
        """
        noise = torch.rand(n, self.length, generator=generator).to(self.embed.weight.device)
        parts = [self._say(part) for part in noise.split(batch)]
        tokens = torch.cat(parts).cpu() if parts else torch.zeros(0, self.length, dtype=torch.int64)
        return tokens, torch.ones_like(tokens, dtype=torch.bool)

    def _say(self, noise: Tensor) -> Tensor:
        state, words = self._before(len(noise)), [torch.full_like(noise[:, 0], START, dtype=torch.int64)]
        for u in noise.unbind(1):
            shown, state = self.cell(self.embed(words[-1])[:, None], state)
            reach = self.read(shown[:, 0]).softmax(1).cumsum(1)
            place = torch.searchsorted(reach, (u * reach[:, -1])[:, None], right=True)[:, 0]
            words.append(place.clamp_max(self.vocabulary - 1))
        return torch.stack(words[1:], 1)

    @torch.no_grad()
    def log_likelihood(self, tokens: Tensor, mask: Tensor, *, batch: int = 100) -> Tensor:
        """log p [n] of sentences int64 [n, length], float64; −inf for a sentence that is not of full length."""
        parts, start = [], 0
        for size in chunks(len(tokens), batch):
            said = tokens[start : start + size].to(self.embed.weight.device)
            told = nn.functional.pad(said[:, :-1], (1, 0), value=START)
            logits = self.read(self.cell(self.embed(told), self._before(size))[0])
            each = logits.gather(2, said[..., None])[..., 0] - logits.logsumexp(2)
            parts.append(each.cpu().double().sum(1))
            start += size
        total = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
        return total.masked_fill(~mask.cpu().all(1), -torch.inf)
