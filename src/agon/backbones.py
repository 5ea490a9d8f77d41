"""Pretrained networks of sentences, from a folder, through the library `transformers`.

A folder holds config.json, tokenizer.json and weights as .safetensors, as that library writes them and hubs offer them for download. Nothing is fetched
from the network, no code of the folder is run, nothing is unpickled.

The network keeps its layers and gets the vocabulary of the sentences at hand: a token's vector begins as the mean of the vectors of the pieces that the
folder's tokeniser makes of its text (Gee et al. 2022, "Fast Vocabulary Transfer", arXiv:2402.09977); where both tokenisers agree that is the vector itself.
What is read before the first token, and the end, begin as the folder's own signs for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.spaces.tokens import END, FIRST, PAD, Tokens

CONFIG, TOKENISER, WEIGHTS = "config.json", "tokenizer.json", "*.safetensors"
_BEGINS, _ENDS = ("[CLS]", "<s>", "<bos>", "<|endoftext|>", "</s>"), ("[SEP]", "</s>", "<eos>", "<|endoftext|>", "<s>")
_DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "dropout",
)  # fmt: skip
_BLOCK = 1 << 20


def look(folder: str) -> str:
    """What a folder holds, as JSON for a run to keep: {"folder", "hash" of its weights, "config"}. Raises InputError for a folder that is none."""
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(
            f"there is no folder '{folder}'; expected one with {CONFIG}, {TOKENISER} and {WEIGHTS}, downloaded before: nothing is fetched here."
        )
    lacking = [name for name in (CONFIG, TOKENISER, WEIGHTS) if not any(place.glob(name))]
    if lacking:
        raise InputError(
            f"'{folder}' holds no {' and no '.join(lacking)}; expected a folder as transformers' save_pretrained writes it, of model and fast tokeniser."
        )
    try:
        config = json.loads((place / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{place / CONFIG}' cannot be read: {error}. Copy or download it again.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"'{place / CONFIG}' names no model_type; expected the settings of a network of transformers.")
    if "auto_map" in config:
        raise InputError(
            f"the network in '{folder}' needs code of its own, and Agon runs none; take one that transformers knows by itself."
        )
    return json.dumps({"folder": folder, "hash": weights_hash(place), "config": config})


def weights_hash(place: Path) -> str:
    """Of the weights in a folder, by content: 16 hexadecimal digits."""
    mark = hashlib.sha256()
    for path in sorted(place.glob(WEIGHTS)):
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                mark.update(block)
    return mark.hexdigest()[:16]


class Backbone(nn.Module):
    """A pretrained network without vocabulary: embeddings [n, L, dim] and mask bool [n, L] → features [n, L, dim].

    `told` is what `look` said. Its weights are the folder's if that is there and unchanged, else they must come from a saved state: `ready` raises until
    they have. causal: each place sees those before it alone; raises InputError for a network that was not made so. layers: how many, from below; 0 is all.
    """

    known: Tensor

    def __init__(self, told: str, *, causal: bool, dropout: float, layers: int, longest: int) -> None:
        super().__init__()
        found = json.loads(told)
        self.folder, self.hash = found["folder"], found["hash"]
        place = Path(self.folder).expanduser()
        here = place.is_dir() and weights_hash(place) == self.hash
        whole = network(found["config"], place if here else None, causal=causal, dropout=dropout, layers=layers, folder=self.folder)
        config = whole.config
        room = getattr(config, "max_position_embeddings", None)
        if room is not None and longest > room:
            raise InputError(
                f"the network in '{self.folder}' reads {room} tokens, and sentences have up to {longest}; give --length {room - 2}."
            )
        self.table: Tensor | None = None  # [pieces, dim] until `rows` has been taken from it
        self.said: Tensor | None = None  # the same of the logits, where they have weights of their own
        core = whole.base_model if causal else whole
        self.dim = core.get_input_embeddings().weight.shape[1]
        if here:
            self.table = core.get_input_embeddings().weight.detach()
            out = whole.get_output_embeddings() if causal else None
            self.said = None if out is None or getattr(config, "tie_word_embeddings", True) else out.weight.detach()
        core.set_input_embeddings(None)
        if hasattr(core, "pooler"):
            core.pooler = None
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        self.cached = (
            config.num_hidden_layers,
            heads,
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        )
        self.core, self.tied = core, bool(getattr(config, "tie_word_embeddings", True))
        self.register_buffer("known", torch.tensor(float(here)))
        self._sure = here

    def rows(self, space: Tokens, out: bool = False) -> Tensor | None:
        """The vectors that the tokens of a space begin with, [V, dim]; of the logits with `out`. None without the folder's weights."""
        table = self.said if out else self.table
        return None if table is None else transferred(Path(self.folder).expanduser(), space, table)

    def ready(self) -> None:
        """Raises InputError where neither the folder nor a saved state has given weights."""
        if not self._sure:
            if not bool(self.known):
                raise InputError(
                    f"the weights in '{self.folder}' are gone or others than this run was made with ({self.hash}); bring them back, or begin a new run."
                )
            self._sure = True

    def forward(self, e: Tensor, mask: Tensor | None = None) -> Tensor:
        self.ready()
        found: Tensor = self.core(inputs_embeds=e, attention_mask=None if mask is None else mask.long(), use_cache=False).last_hidden_state
        return found

    def step(self, e: Tensor, past: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """One place more: embeddings [n, 1, dim] and keys and values [n, heads, T, d] of each layer → (features [n, 1, dim], those of T + 1)."""
        from transformers import DynamicCache

        self.ready()
        cache = DynamicCache(list(past)) if past[0][0].shape[2] else DynamicCache()
        made = self.core(inputs_embeds=e, past_key_values=cache, use_cache=True)
        return made.last_hidden_state, [(layer.keys, layer.values) for layer in made.past_key_values.layers]

    def nothing(self, like: Tensor, n: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values before the first place."""
        layers, heads, dim = self.cached
        none = like.new_zeros(n, heads, 0, dim)
        return [(none, none) for _ in range(layers)]


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise InputError(
            "pretrained networks need the package 'transformers', which is not installed. Install it: pip install 'agon-gan[pretrained]'"
        ) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def network(settings: dict[str, Any], place: Path | None, *, causal: bool, dropout: float = 0.0, layers: int = 0, folder: str = "") -> Any:
    """The network of these settings, with the weights in `place`, or without a place any and a vocabulary of one. Raises InputError."""
    library, folder = _library(), folder or str(place)
    settings = dict(settings)
    kind = settings.pop("model_type")
    try:
        config = library.AutoConfig.for_model(kind, **settings)
    except (ValueError, TypeError) as error:
        raise InputError(f"transformers does not know the network in '{folder}': {str(error).splitlines()[0][:200]}") from None
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)
    if layers:
        if not 1 <= layers <= config.num_hidden_layers:
            raise InputError(
                f"layers is {layers}; the network in '{folder}' has {config.num_hidden_layers}: expected 1 to that, or 0 for all."
            )
        config.num_hidden_layers = layers
    if causal and (type(config) not in library.MODEL_FOR_CAUSAL_LM_MAPPING or hasattr(config, "type_vocab_size")):
        raise InputError(
            f"a network of kind {kind} reads both ways and cannot speak; give one that predicts the next token, such as gpt2, or use it as critic."
        )
    make = library.AutoModelForCausalLM if causal else library.AutoModel
    try:
        if place is None:
            config.vocab_size = 1
            config.pad_token_id = config.bos_token_id = config.eos_token_id = None
            return make.from_config(config)
        return make.from_pretrained(str(place), config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except Exception as error:  # damaged weights, missing parts and unknown settings share no base
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"the network in '{folder}' cannot be opened: {why}") from None


def tokeniser_of(place: Path) -> Any:
    """The tokeniser of a folder, which neither pads nor cuts. Raises InputError."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError("text needs the package 'tokenizers', which is not installed. Install it: pip install 'agon-gan[text]'") from None
    try:
        tokeniser = Tokenizer.from_file(str(place / TOKENISER))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"'{place / TOKENISER}' cannot be read: {str(error)[:200]}. Copy or download it again.") from None
    tokeniser.no_padding()
    tokeniser.no_truncation()
    return tokeniser


def transferred(place: Path, space: Tokens, table: Tensor) -> Tensor:
    """For each token of a space the mean of the rows of `table` [pieces, dim] that its text is made of: [V, dim]."""
    tokeniser = tokeniser_of(place)
    mean = table.mean(0)
    begin, end = (_sign(tokeniser, names) for names in (_BEGINS, _ENDS))
    made = mean.repeat(space.vocabulary, 1)
    for token, row in ((PAD, begin), (END, end)):
        if row is not None:
            made[token] = table[row]
    if not space.tokenizer:
        return made
    texts = space.decode(torch.arange(FIRST, space.vocabulary)[:, None])
    if _of_words(space):
        texts = [" " + text for text in texts]  # nearly every word stands behind a space, which pieces of bytes have in them
    for token, text in enumerate(texts, FIRST):
        ids = tokeniser.encode(text, add_special_tokens=False).ids if "�" not in text else []
        if ids:
            made[token] = table[ids].mean(0)
    return made


def _sign(tokeniser: Any, names: Sequence[str]) -> int | None:
    return next((found for name in names if (found := tokeniser.token_to_id(name)) is not None), None)


def _of_words(space: Tokens) -> bool:
    return bool(json.loads(space.tokenizer)["model"]["type"] == "WordLevel")
