"""How sure the difference of two systems is that put the same sources into words: bootstrap over sentences, both resampled alike.

Koehn 2004, "Statistical significance tests for machine translation evaluation", W04-3250. Resamples are drawn as sacreBLEU draws them (1,000, seed 12345),
so that of one system alone the interval is sacreBLEU's own. BLEU and chrF are of the corpus: what a sentence adds to their counts is resampled and the
counts are summed. ROUGE is the mean of documents. The interval is of other test sentences, not of other seeds of training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

DRAWS, SEED = 1_000, 12345
Figures = Callable[[np.ndarray], list[float]]


def pieces(made: Sequence[str], targets: Sequence[str], kind: str) -> tuple[tuple[str, ...], np.ndarray, Figures]:
    """(names of the figures, what each sentence adds float64 [n, k], figures of the sum over n sentences [k + 1], whose last entry is n).

    kind: "translation" (BLEU, chrF) or "summary" (ROUGE-1, -2, -L, of 100).
    """
    if kind == "summary":
        from agon.metrics.rouge import NAMES, rouge

        return (
            tuple(NAMES),
            np.asarray(rouge(list(made), [(target,) for target in targets])),
            lambda total: (total[:-1] / total[-1]).tolist(),
        )
    from sacrebleu.metrics import BLEU, CHRF

    scorers: list[Any] = [BLEU(), CHRF()]
    # Its own significance test takes the same two steps; a public way to them there is not.
    parts = [np.asarray(scorer._extract_corpus_statistics(list(made), [list(targets)]), np.float64) for scorer in scorers]
    cut = parts[0].shape[1]

    def of(total: np.ndarray) -> list[float]:
        sums = total[:cut].astype(int).tolist(), total[cut:-1].astype(int).tolist()
        return [float(scorer._compute_score_from_stats(part).score) for scorer, part in zip(scorers, sums, strict=True)]

    return ("BLEU", "chrF"), np.concatenate(parts, 1), of


def differences(one: Sequence[str], other: Sequence[str], targets: Sequence[str], kind: str) -> dict[str, tuple[float, float, float]]:
    """By figure: how much `one` is above `other`, and the 95 % interval of that. Raises ValueError where they have not as many sentences."""
    if not len(one) == len(other) == len(targets):
        raise ValueError(
            f"{len(one)} texts were compared with {len(other)}, of {len(targets)} targets; expected as many: score all with one --limit"
        )
    names, first, figures = pieces(one, targets, kind)
    second = pieces(other, targets, kind)[1]
    rows = [np.concatenate([side, np.ones((len(side), 1))], 1) for side in (first, second)]
    exact = np.subtract(*(figures(side.sum(0)) for side in rows))
    chosen = np.random.default_rng(SEED).choice(len(one), size=(DRAWS, len(one)), replace=True)
    drawn = np.sort([np.subtract(*(figures(side[index].sum(0)) for side in rows)) for index in chosen], axis=0)
    low, high = drawn[DRAWS // 40], drawn[DRAWS - DRAWS // 40 - 1]
    return {name: (float(exact[k]), float(low[k]), float(high[k])) for k, name in enumerate(names)}
