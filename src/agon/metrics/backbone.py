"""Features of sentences from a pretrained encoder in a local folder: distances that do not depend on the corpus, unlike those of the counted encoder.

What the sentences' tokens spell (unknown words as <unk>) is read by the folder's own tokeniser; features are the mean over its pieces of the last layer, of
length 1 where the folder says that its sentence vectors are (modules.json with a Normalize). The usual network of papers is the Universal Sentence
Encoder (de Masson d'Autume et al. 2019, arXiv:1905.09922), which is not among these, so their FED does not compare; figures of one folder do, and the stamp
has a hash of its weights, settings and tokeniser.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agon.backbones import look, network, tokeniser_of
from agon.errors import InputError
from agon.metrics.cache import digest
from agon.metrics.contract import Features
from agon.spaces.tokens import Tokens

_PIECES, _ROOM = 256, 8_192  # pieces of a sentence that are read, at most, where the network has room; and of a batch


@dataclass
class SentenceBackbone:
    """Sentences int [n, L] → float64 [n, dim]."""

    space: Tokens
    network: nn.Module
    tokeniser: Any
    unit: bool
    dim: int
    hash: str
    device: torch.device
    most: int = _PIECES
    name: str = "backbone"
    resize: str = ""
    num_classes: int = 0
    note: str = "a pretrained encoder; not comparable with published FED"

    def __call__(self, x: Tensor) -> Features:
        """Features of stored sentences."""
        rows = [one.ids[: self.most] for one in self.tokeniser.encode_batch(self.space.decode(x.cpu()))]
        found = torch.zeros(len(rows), self.dim, dtype=torch.float64)
        order = sorted(range(len(rows)), key=lambda k: len(rows[k]))
        begin = 0
        with torch.no_grad():
            while begin < len(order):
                stop = begin + 1
                while stop < len(order) and (stop + 1 - begin) * len(rows[order[stop]]) <= _ROOM:
                    stop += 1
                some = order[begin:stop]
                found[some] = self._read([rows[k] for k in some]).double().cpu()
                begin = stop
        return Features(found)

    def _read(self, rows: list[list[int]]) -> Tensor:
        most = max(1, max(map(len, rows)))
        ids = torch.tensor([row + [0] * (most - len(row)) for row in rows], device=self.device)
        there = torch.tensor([[k < max(1, len(row)) for k in range(most)] for row in rows], device=self.device)
        h = self.network(input_ids=ids, attention_mask=there.long()).last_hidden_state
        mean = (h * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        return functional.normalize(mean, dim=1) if self.unit else mean


def open_backbone(space: Tokens, folder: Path | str | None, *, device: torch.device | str = "cpu") -> SentenceBackbone:
    """The encoder in a folder. Raises InputError without one, or if it cannot be read."""
    if not folder:
        raise InputError("extractor 'backbone' is a pretrained encoder; name its folder: --extractor-weights FOLDER")
    if not space.tokenizer:
        raise InputError(f"extractor 'backbone' reads text, and these are {space.describe()} without any; use sentences.")
    told = json.loads(look(str(folder)))
    place = Path(folder).expanduser()
    net = network(told["config"], place, causal=False).eval().to(device)
    try:
        unit = "Normalize" in (place / "modules.json").read_text("utf-8")
    except OSError:
        unit = False
    tokeniser = tokeniser_of(place)
    size = len(net.get_input_embeddings().weight)
    if 1 + max(tokeniser.get_vocab().values()) > size:
        raise InputError(f"the tokeniser in '{folder}' knows more pieces than the network's {size:,}; they do not belong together.")
    room = getattr(net.config, "max_position_embeddings", None)
    most = min(_PIECES, room - 2) if isinstance(room, int) and room > 2 else _PIECES  # some keep two places for themselves
    mark = digest("backbone-1", told["hash"], json.dumps(told["config"], sort_keys=True), tokeniser.to_str(), str((unit, most)))
    return SentenceBackbone(space, net, tokeniser, unit, net.config.hidden_size, mark, torch.device(device), most)
