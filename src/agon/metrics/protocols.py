"""Published protocols of text scores by name: how many samples and references, of which text, cut and smoothed how.

    agon eval RUN --protocol texygen-coco         agon curve RUN --protocol texygen-coco --likelihood OTHER

Texygen (Zhu et al. 2018, arXiv:1802.01886) compares 10,000 sentences with all 10,000 of its test file: the mean of sentence BLEU-2 to 5 with uniform
weights, no match counting as 0.1 (method 1), the nearest reference length, text cut into words and signs; self-BLEU leaves the sentence itself out.
That is what Agon's BLEU always does (`ngrams.py`); a protocol fixes the numbers and the letters and refuses data that do not fit, so that a figure of
that name can be compared with others of that name. What text it is, the hash of the data in the stamp tells.

Published human rows differ by whether each caption ends in a full stop; a fifth of Texygen's do not. `texygen-coco` puts one to each sentence of both
sides that has none, as the row in circulation does (.743 .526 .343 .222 and self-BLEU .894 .751 .580 .422).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from agon.errors import InputError, suggest
from agon.metrics import ngrams
from agon.metrics.sentences import Words, kind_of, real_words, words_of
from agon.metrics.setting import ROWS, Setting
from agon.spaces import Tokens

METRICS = ("bleu", "self_bleu", "unique")  # what a protocol fixes


@dataclass(frozen=True, kw_only=True)
class TextProtocol:
    """samples: N; references: held-out sentences; whole: these are all that are held out; training: how many sentences the data have beside them, 0: at
    least N. small: the text is in small letters, else as it is written. stop: each sentence ends in a full stop. own: what keeps figures from being
    compared with published ones, "" if nothing does."""

    name: str
    samples: int
    references: int = ROWS
    whole: bool = True
    training: int = 0
    small: bool = False
    stop: bool = False
    own: str = ""

    def sentences(self, words: Words) -> Words:
        """Sentences as they are scored."""
        return [s if s[-1:] == ["."] else [*s, "."] for s in words] if self.stop else words

    def said(self, space: Tokens, x: Tensor) -> Words:
        """Samples [n, L] as they are scored."""
        return self.sentences(words_of(space, x))

    def compared(self, data_set: Any) -> Words:
        """The references."""
        return self.sentences(real_words(data_set.space, data_set.held, self.references))

    def stamp(self) -> str:
        """What stands in a score's protocol."""
        return ", ".join(part for part in (self.name, "a full stop to each" if self.stop else "", self.own) if part)

    def check(self, data_set: Any) -> None:
        """Raises InputError where the data do not fit."""
        space, held, training = data_set.space, len(data_set.held), len(data_set.train)
        asks = f"protocol '{self.name}' compares {self.samples:,} samples with {self.references:,} held-out sentences"
        if not isinstance(space, Tokens):
            raise InputError(f"{asks}, and the data are {space.describe()}; leave out --protocol.")
        if not kind_of(space).startswith("words"):
            raise InputError(
                f"{asks} by words, and these are cut into {kind_of(space)}; train with --tokenizer word, or leave out --protocol."
            )
        if held < self.references or (self.whole and held != self.references):
            exactly = "exactly " if self.whole else ""
            raise InputError(
                f"{asks}, and {held:,} of {held + training:,} are held out; expected {exactly}{self.references:,}: {_WAYS[self.name]} "
                "Without --protocol the run is scored by the same rules on what there is."
            )
        if training < self.samples or (self.training and training != self.training):
            wanted = f"{self.training:,}" if self.training else f"at least {self.samples:,}"
            raise InputError(f"{asks} of a text with {wanted} training sentences, and these data have {training:,}: {_WAYS[self.name]}")
        capitals = any(word != word.lower() for sentence in self.compared(data_set)[:1000] for word in sentence)
        if capitals and self.small:
            raise InputError(f"{asks} in small letters, and these have capitals; train with --lower true.")
        if not (capitals or self.small):
            raise InputError(f"{asks} with their capitals, and these have none; train without --lower.")


PLAIN = TextProtocol(name="", samples=0)  # what is scored without a name: all there is, as it is
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        TextProtocol(name="texygen-coco", samples=10_000, training=10_000, small=True, stop=True),
        TextProtocol(name="texygen-emnlp", samples=10_000),
        TextProtocol(
            name="texygen-emnlp-half",
            samples=4_500,
            references=4_500,
            whole=False,
            own="own split of Texygen's test file, no published figure compares",
        ),
    )
}
_WAYS = {
    "texygen-coco": "train on a folder that holds Texygen's image_coco.txt and test_coco.txt.",
    "texygen-emnlp": "train on a folder with the EMNLP2017 News training file as train.txt and test_emnlp.txt as test.txt. Of test_emnlp.txt alone take "
    "--holdout 0.5 and --protocol texygen-emnlp-half.",
    "texygen-emnlp-half": "train on test_emnlp.txt with --holdout 0.5.",
}


def protocol_of(name: str) -> TextProtocol:
    """The protocol of this name. Raises InputError for an unknown one."""
    if name not in PROTOCOLS:
        raise InputError(f"no protocol '{name}'; there are {', '.join(PROTOCOLS)}.{suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def named(setting: Setting) -> str:
    """What a score's settings say of the protocol; "" without one."""
    return "" if setting.protocol is None else f", {setting.protocol.stamp()}"


def human_row(protocol: TextProtocol, data_set: Any) -> dict[str, float]:
    """BLEU and self-BLEU of N training sentences, always the same, in the place of samples: bleu2 … bleu5, self_bleu2 … self_bleu5, unique.

    Raises InputError where the data do not fit.
    """
    protocol.check(data_set)
    words = protocol.sentences(real_words(data_set.space, data_set.train, protocol.samples))
    found = {f"bleu{n}": v for n, v in ngrams.bleu(words, protocol.compared(data_set)).items()}
    found |= {f"self_bleu{n}": v for n, v in ngrams.self_bleu(words).items()}
    return found | {"unique": ngrams.unique_share(words)}
