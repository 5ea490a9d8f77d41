"""Arithmetic expressions from a probabilistic context-free grammar: exact likelihood, exact entropy, and a notion of what is grammatical."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from agon.errors import InputError

SYMBOLS = ("<end>", "x", "y", "z", "1", "2", "+", "-", "*", "/", "(", ")")
END = 0
_ATOMS, _ADDS, _TIMES = SYMBOLS[1:6], SYMBOLS[6:8], SYMBOLS[8:10]


class Arithmetic:
    """Expressions of at most `length` tokens, the end token among them, such as `x * ( 1 - y ) <end>`.

    sum → product | product (+|−) sum;  product → atom | atom (×|÷) product;  atom → x | y | z | 1 | 2 | ( sum )

    more, times, nested: probability of the longer choice of each rule; within it, words are uniform. The grammar is unambiguous, so a sentence's
    probability is that of its one derivation, and the entropy follows from the rules. What comes out too long is drawn again: all figures are
    those of the distribution conditioned on its length, whose mass before that is `mass`.
    """

    vocabulary = len(SYMBOLS)

    def __init__(self, length: int = 20, more: float = 0.35, times: float = 0.3, nested: float = 0.2) -> None:
        if length < 2 or not all(0 < p < 1 for p in (more, times, nested)):
            raise InputError(f"length {length} and probabilities {more}, {times}, {nested}; expected at least 2, and each between 0 and 1.")
        self.length = length
        self._chances = {"sum": more, "product": times, "atom": nested}
        lengths, logs = self._by_length()
        self.mass = sum(lengths)
        # H = E[−log(p / mass)] over the sentences that are short enough.
        self.entropy = math.log(self.mass) - sum(logs) / self.mass
        self.mean_length = sum((i + 1) * p for i, p in enumerate(lengths)) / self.mass

    def _rules(self) -> dict[str, list[tuple[float, int, int, tuple[str, ...]]]]:
        """For every symbol its choices: probability of one word choice, how many there are, terminals in it, and the symbols below."""
        more, times, nested = self._chances["sum"], self._chances["product"], self._chances["atom"]
        return {
            "atom": [((1 - nested) / len(_ATOMS), len(_ATOMS), 1, ()), (nested, 1, 2, ("sum",))],
            "product": [(1 - times, 1, 0, ("atom",)), (times / len(_TIMES), len(_TIMES), 1, ("atom", "product"))],
            "sum": [(1 - more, 1, 0, ("product",)), (more / len(_ADDS), len(_ADDS), 1, ("product", "sum"))],
        }

    def _by_length(self) -> tuple[list[float], list[float]]:
        """For a sentence of l tokens before its end: Σ p, and Σ p·log p over its derivations, l from 0 to length − 1."""
        size = self.length
        zero = [0.0] * size
        chance, logs = dict.fromkeys(self._rules(), zero), dict.fromkeys(self._rules(), zero)

        def times(a: list[float], b: list[float]) -> list[float]:
            return [sum(a[i] * b[n - i] for i in range(n + 1)) for n in range(size)]

        # Every symbol has at least one token, so each pass over the rules makes the next length exact; three passes, for rules of no token.
        for _ in range(3 * size):
            for name, choices in self._rules().items():
                total, total_logs = zero, zero
                for p, count, terminals, below in choices:
                    mass, mass_logs = [1.0, *zero[1:]], zero
                    for symbol in below:
                        mass, mass_logs = (
                            times(mass, chance[symbol]),
                            [a + b for a, b in zip(times(mass_logs, chance[symbol]), times(mass, logs[symbol]), strict=True)],
                        )
                    mass, mass_logs = ([0.0] * terminals + x[: size - terminals] for x in (mass, mass_logs))
                    total = [t + count * p * m for t, m in zip(total, mass, strict=True)]
                    total_logs = [t + count * p * (b + math.log(p) * m) for t, m, b in zip(total_logs, mass, mass_logs, strict=True)]
                chance[name], logs[name] = total, total_logs
        return chance["sum"], logs["sum"]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n sentences int64 [n, length], padded with the end token, and the mask, True up to the first end token."""
        tokens = torch.full((n, self.length), END)
        mask = torch.zeros(n, self.length, dtype=torch.bool)
        noise: Iterator[float] = iter(())  # numbers in stock: one call to the generator serves thousands of choices

        def draw() -> float:
            nonlocal noise
            number = next(noise, None)
            if number is None:
                noise = iter(torch.rand(4096, generator=generator, dtype=torch.float64).tolist())
                number = next(noise)
            return number

        for i in range(n):
            said = None
            while said is None:
                said = self._derive(draw)
            tokens[i, : len(said)] = torch.tensor(said)
            mask[i, : len(said) + 1] = True
        return tokens, mask

    def _derive(self, draw: Callable[[], float]) -> list[int] | None:
        """One derivation, leftmost first; None as soon as it grows too long."""
        waiting: list[str] = ["sum"]
        said: list[int] = []
        while waiting:
            symbol = waiting.pop()
            if symbol not in self._chances:
                said.append(SYMBOLS.index(symbol))
            else:
                longer = draw() < self._chances[symbol]
                if symbol == "atom":
                    waiting += [")", "sum", "("] if longer else [_ATOMS[int(draw() * len(_ATOMS))]]
                else:
                    first, words = ("product", _ADDS) if symbol == "sum" else ("atom", _TIMES)
                    waiting += [symbol, words[int(draw() * len(words))], first] if longer else [first]
            if len(said) + len(waiting) > self.length - 1:
                return None
        return said

    def log_likelihood(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """log p [n], float64; −inf for a sentence that is ungrammatical or has no end."""
        found = [self._score(row[real].tolist()) for row, real in zip(tokens.cpu(), mask.cpu(), strict=True)]
        return torch.tensor(found, dtype=torch.float64)

    def valid(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Which sentences [n] the grammar can say."""
        return self.log_likelihood(tokens, mask).isfinite()

    def _score(self, said: list[int]) -> float:
        """log p of one sentence by reading it left to right: the grammar needs to look one token ahead."""
        if not said or said[-1] != END or END in said[:-1] or len(said) > self.length or max(said) >= len(SYMBOLS) or min(said) < 0:
            return -math.inf
        words = [SYMBOLS[token] for token in said]
        total, place = -math.log(self.mass), 0
        opened, operand = 0, True  # brackets to be closed; whether an operand is expected, or what follows one
        while True:
            word = words[place]
            place += 1
            if operand:
                if word == "(":
                    total += math.log(self._chances["atom"])
                    opened += 1
                elif word in _ATOMS:
                    total += math.log((1 - self._chances["atom"]) / len(_ATOMS))
                    operand = False
                else:
                    return -math.inf
            elif word in _TIMES:
                total += math.log(self._chances["product"] / len(_TIMES))
                operand = True
            elif word in _ADDS:
                total += math.log((1 - self._chances["product"]) * self._chances["sum"] / len(_ADDS))
                operand = True
            else:  # a bracket or the sentence closes: the product ends here, and with it the sum
                total += math.log((1 - self._chances["product"]) * (1 - self._chances["sum"]))
                if word == ")" and opened:
                    opened -= 1
                else:
                    return total if word == "<end>" and not opened else -math.inf
