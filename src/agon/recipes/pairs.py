"""Recipes for text made from text: translation and summaries. Sizes are for two processor cores."""

from __future__ import annotations

from dataclasses import replace

from agon.catalogue import rows
from agon.decoding import Choice
from agon.errors import InputError
from agon.game import Game
from agon.games.brcsgan import BRCSGAN
from agon.games.retelling import Retelling
from agon.games.umt import UMT
from agon.networks.text.pair import PairCritic
from agon.networks.text.recurrent import Recurrent, RecurrentCritic
from agon.networks.text.transformer import Transformer
from agon.optim import Adam, Average
from agon.recipes import Recipe, Situation, Suggestion
from agon.schedule import Cosine, Warmup
from agon.spaces import Tokens

METRICS = {"bleu": ("corpus_bleu", "chrf"), "rouge": ("rougeL", "rouge1", "rouge2")}  # by reward; the first chooses the best state
BY_CHANCE = {"bleu": ("round_trip", "fd"), "rouge": ("fd",)}  # where what is held out are no pairs
LEAST_ROUNDS = 200
TOLD = Choice(temperature=0.0, no_repeat=3)  # how summaries are chosen: pieces of words stutter without the rule
BY_WORD = 0.35  # share of the rounds in which a dictionary translates back
READ, RETOLD = 0.5, 0.6  # without pairs: the same
# Share of the rounds after which the critic learns, and its rewards count: a round of rewards costs as much as five others.
JUDGED, REWARDED = 0.92, 0.95


def _planned(situation: Situation, name: str, batch: int, epochs: float) -> tuple[int, int, float]:
    """(rounds, batch, samples seen), as asked for or so many epochs. Raises InputError for data without sources."""
    space = situation.space
    if not isinstance(space, Tokens) or space.source is None:
        raise InputError(
            f"recipe '{name}' makes a text from another, and the data are {space.describe()}; give pairs: agon train pairs.jsonl --source COLUMN "
            "--target COLUMN, or take another recipe."
        )
    size = situation.batch or batch
    rounds = situation.rounds or max(LEAST_ROUNDS, round(epochs * situation.count / size))
    return rounds, size, float(rounds * size)


def _adam(seen: float, warm: float) -> Adam:
    """Up within `warm` samples, or a tenth of all, then down as a cosine."""
    return Adam(lr=Warmup(then=Cosine(start=2e-3, end=1e-4, span=seen), span=min(warm, seen / 10)), betas=(0.9, 0.98), clip=5.0)


def _suggested(situation: Situation, game: Game, rounds: int, batch: int, of: str, reward: str, **reasons: str) -> Suggestion:
    told = f"{rounds:,}: {rounds * batch / situation.count:.3g} times through {situation.count:,} {of}"
    more = {
        "batch": "asked for" if situation.batch else f"{batch}: {of} a round",
        "rounds": "asked for" if situation.rounds else told,
    }
    metrics = (BY_CHANCE if situation.by_chance else METRICS)[reward] if situation.held else ("fd",)
    return Suggestion(game=game, rounds=rounds, batch=batch, metrics=metrics, reasons={**more, **reasons})


def _rewarded(game: BRCSGAN | Retelling, first: str) -> dict[str, str]:
    """When critics begin to learn and rewards to count; first: what comes before."""
    return {
        "judged_from": f"{game.judged_from:,}: critics learn once {first}",
        "rewarded_from": f"{game.rewarded_from:,}: a critic that knows nothing yet rewards nothing",
    }


def _beside(recipe: str) -> str:
    """What a user should know of the adversary before the time is spent: the published rows with it and without, where there are any."""
    told = [f"on {r.set} {', '.join(map(str, (r.score, *r.beside)))}" for r in rows() if r.recipe == recipe and r.beside]
    return f"on{'; measured: ' * bool(told)}{'; '.join(told)}: --game.adversary false leaves it out"


def translation(situation: Situation) -> Suggestion:
    """Likelihood, then a critic of pairs and sentence BLEU as rewards (arXiv:1703.04887), with a small Transformer."""
    rounds, batch, seen = _planned(situation, "translation", 64, 12)
    game = BRCSGAN(
        net=Transformer(width=128, layers=2, dropout=0.1), judge_net=PairCritic(width=64), judged_from=round(JUDGED * rounds),
        rewarded_from=round(REWARDED * rounds), optim={"G": _adam(seen, 20_000), "D": Adam(lr=3e-4, betas=(0.5, 0.98), clip=5.0)},
        ema={"G": Average(half_life=min(10_000.0, seen / 20))},
    )  # fmt: skip
    more = _rewarded(game, "likelihood has done most") | {"adversary": _beside("translation")}
    return _suggested(situation, game, rounds, batch, "pairs", "bleu", **more, net="transformer: two layers of 128 on either side")


def summary(situation: Situation) -> Suggestion:
    """Likelihood with copying, then self-critical ROUGE-L and a critic of pairs as rewards (arXiv:1612.00563, arXiv:1705.04304)."""
    rounds, batch, seen = _planned(situation, "summary", 16, 12)
    space = situation.space
    assert isinstance(space, Tokens) and space.source is not None
    copy = space.source.tokenizer == space.tokenizer and space.source.vocabulary == space.vocabulary
    game = BRCSGAN(
        net=Recurrent(width=256, embed=128, tied=True, dropout=0.3, copy=copy), judge_net=PairCritic(width=64), reward="rouge", share=0.3,
        judged_from=round(JUDGED * rounds), rewarded_from=round(REWARDED * rounds), choice=TOLD,
        optim={"G": _adam(seen, 4_000), "D": Adam(lr=3e-4, betas=(0.5, 0.98), clip=5.0)}, ema={"G": Average(half_life=min(5_000.0, seen / 20))},
    )  # fmt: skip
    why = "words may be copied" if copy else "without copying: source and target have a tokeniser each"
    more = _rewarded(game, "likelihood has done most") | {"adversary": _beside("summary")}
    return _suggested(
        situation, game, rounds, batch, "pairs", "rouge", **more, net=f"rnn: an LSTM of 256 that reads both ways and attends, {why}"
    )


def unpaired(situation: Situation) -> Suggestion:
    """Denoising and back-translation (arXiv:1804.07755) from a dictionary that is learnt from the same texts, with a small Transformer."""
    rounds, batch, seen = _planned(situation, "translation-unpaired", 64, 12)
    game = UMT(
        net=Transformer(width=128, layers=2, dropout=0.1), by_word_until=round(BY_WORD * rounds),
        optim={"G": _adam(seen, 20_000), "D": Adam(lr=5e-4, betas=(0.5, 0.98), clip=5.0)}, ema={"G": Average(half_life=min(10_000.0, seen / 20))},
    )  # fmt: skip
    return _suggested(
        situation, game, rounds, batch, "sentences of each language", "bleu",
        adversary="off, as in the paper; --game.adversary true adds a critic of languages",
        by_word_until=f"{game.by_word_until:,}: until then the dictionary translates back, then the translator itself",
        net="transformer: two layers of 128 on either side, shared by both languages",
    )  # fmt: skip


def retelling(situation: Situation) -> Suggestion:
    """Real summaries found among other words (arXiv:1809.02669), then a critic of summaries and a reconstructor of documents (arXiv:1810.02851)."""
    rounds, batch, seen = _planned(situation, "summary-unpaired", 16, 4)  # longer, and summaries are known by heart (docs/log.md)
    net = Recurrent(width=256, embed=128, tied=True, dropout=0.3, copy=True)
    game = Retelling(
        net=net, retell_net=replace(net, dropout=0.0), judge_net=RecurrentCritic(width=128), choice=TOLD, judged_from=round(READ * rounds),
        rewarded_from=round(RETOLD * rounds), ema={"G": Average(half_life=min(5_000.0, seen / 20))},
        optim={"G": _adam(seen, 4_000), "R": Adam(lr=1e-3, betas=(0.9, 0.98), clip=5.0), "D": Adam(lr=1e-3, betas=(0.5, 0.98), clip=5.0)},
    )  # fmt: skip
    return _suggested(
        situation, game, rounds, batch, "summaries", "rouge", **_rewarded(game, "most real summaries are found again"),
        adversary=_beside("summary-unpaired"),
        net="rnn: an LSTM of 256 that reads both ways, attends and copies, for summaries and for documents",
    )  # fmt: skip


RECIPES = (
    Recipe(name="translation", title="BR-CSGAN: likelihood, then a critic of pairs and BLEU", paper="arXiv:1703.04887", build=translation),
    Recipe(name="summary", title="Likelihood with copying, then ROUGE-L and a critic of pairs", paper="arXiv:1705.04304", build=summary),
    Recipe(
        name="summary-unpaired", title="Summaries without pairs: a critic and a reconstructor", paper="arXiv:1810.02851", build=retelling
    ),
    Recipe(
        name="translation-unpaired", title="UMT: denoising and back-translation, without pairs", paper="arXiv:1804.07755", build=unpaired
    ),
)
