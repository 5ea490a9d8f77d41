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
# Settings of a folder that are not followed: kernels from elsewhere, number formats, what a call gives back.
_OURS = (
    "attn_implementation", "_attn_implementation", "experts_implementation", "return_dict", "use_return_dict", "dtype", "torch_dtype", "output_hidden_states",
    "output_attentions", "use_cache",
)  # fmt: skip
_MAY_MISS = ("pooler", "position_ids", "attn.bias", "attn.masked_bias", "inv_freq")  # weights that are not used, or made
_BLOCK = 1 << 20
_FEW = 8  # pieces on which our way through a network is compared with the library's


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
        mark = weights_hash(place)
    except (OSError, ValueError) as error:
        raise InputError(f"'{folder}' cannot be read: {error}. Copy or download it again.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"'{place / CONFIG}' names no model_type; expected the settings of a network of transformers.")
    return json.dumps({"folder": folder, "hash": mark, "config": config})


def weights_hash(place: Path) -> str:
    """Of the weights in a folder, by content: 16 hexadecimal digits. Raises OSError."""
    mark = hashlib.sha256()
    for path in sorted(place.glob(WEIGHTS)):
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                mark.update(block)
    return mark.hexdigest()[:16]


def kept(told: str) -> dict[str, Any]:
    """What `look` said, from a run. Raises InputError where it is damaged."""
    try:
        found = json.loads(told)
        assert isinstance(found["folder"], str) and isinstance(found["hash"], str) and isinstance(found["config"], dict)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise InputError(
            "what this run kept of its pretrained network (`told`) is damaged; leave it out and name the folder again."
        ) from None
    return dict(found)


def _is_here(place: Path, mark: str) -> bool:
    try:
        return place.is_dir() and (place / TOKENISER).is_file() and weights_hash(place) == mark
    except OSError:
        return False


class Backbone(nn.Module):
    """A pretrained network without vocabulary: embeddings [n, L, dim] and mask bool [n, L] → features [n, L, width].

    `told` is what `look` said. Its weights are the folder's if that is there and unchanged, else they must come from a saved state: `ready` raises until
    they have. causal: each place sees those before it alone; raises InputError for a network that was not made so, or does with its embeddings or logits
    what is not done here. layers: how many, at most, from below; 0 is all. longest: places it must be able to read.
    """

    known: Tensor

    def __init__(self, told: str, *, causal: bool, dropout: float, layers: int, longest: int) -> None:
        super().__init__()
        found = kept(told)
        self.folder, self.hash = found["folder"], found["hash"]
        place = Path(self.folder).expanduser()
        here = _is_here(place, self.hash)
        whole = network(found["config"], place if here else None, causal=causal, dropout=dropout, layers=layers, folder=self.folder)
        config = whole.config
        core = whole.base_model if causal else whole
        self.tied = bool(getattr(config, "tie_word_embeddings", True))
        if hasattr(core, "pooler"):
            core.pooler = None
        begun = core.get_input_embeddings().weight.detach()
        self.dim = begun.shape[1]
        self.table = begun if here else None  # [pieces, dim] until `rows` has been taken from it
        self.said: Tensor | None = None  # the same of the logits, where they have weights of their own
        if causal and here and not self.tied:
            self.said = whole.get_output_embeddings().weight.detach()
        whole.eval()
        self.width = _tried(core, self.dim, longest, self.folder)
        if here:
            self._same(whole, core, begun, causal)
        core.set_input_embeddings(None)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        self.cached = (
            config.num_hidden_layers,
            heads,
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        )
        self.core = core
        self.register_buffer("known", torch.tensor(float(here)))
        self._sure = here

    def _same(self, whole: Any, core: Any, table: Tensor, causal: bool) -> None:
        """Raises InputError where features or logits by the vectors of tokens are not those that the library makes of the tokens themselves."""
        pieces = torch.linspace(0, len(table) - 1, _FEW).long()[None]
        with torch.no_grad():
            ours = core(inputs_embeds=table[pieces]).last_hidden_state
            if not causal:
                theirs = core(input_ids=pieces).last_hidden_state
            elif self.tied and self.width != self.dim:
                theirs = ours + torch.nan
            else:
                weight = table if self.said is None else self.said
                ours, theirs = ours @ weight.T, whole(input_ids=pieces).logits
        if not torch.allclose(ours, theirs, atol=1e-3, rtol=1e-3):
            raise InputError(
                f"the network in '{self.folder}' does more with its embeddings or logits than look them up (it scales, caps or shifts them), which is "
                "not followed here; take another, such as gpt2 to speak or bert to judge."
            )

    def rows(self, space: Tokens, out: bool = False) -> Tensor | None:
        """The vectors that the tokens of a space begin with, [V, dim]; of the logits with `out`. None without the folder's weights."""
        table = self.said if out else self.table
        return None if table is None else transferred(Path(self.folder).expanduser(), space, table)

    def ready(self) -> None:
        """Raises InputError where neither the folder nor a saved state has given weights."""
        if not self._sure and not torch.compiler.is_compiling():
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
        """One place more: embeddings [n, 1, dim] and keys and values [n, heads, T, d] of each layer → (features [n, 1, width], those of T + 1)."""
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


def _tried(core: Any, dim: int, longest: int, folder: str) -> int:
    """The width of what a network makes of embeddings [1, longest, dim]. Raises InputError where it cannot read so many, or none at all."""
    try:
        with torch.no_grad():
            made = core(
                inputs_embeds=torch.zeros(1, longest, dim), attention_mask=torch.ones(1, longest, dtype=torch.long)
            ).last_hidden_state
        assert made.shape[:2] == (1, longest)
        return int(made.shape[2])
    except Exception as error:  # a network may fail in any way
        room = getattr(core.config, "max_position_embeddings", None)
        if isinstance(room, int) and 0 < room < longest + 3:
            raise InputError(
                f"the network in '{folder}' reads {room} tokens at most, and sentences have up to {longest}; give a smaller --length."
            ) from None
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"the network in '{folder}' reads no vectors of tokens as bert and gpt2 do ({why}); take another.") from None


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
    """The network of these settings, with the weights in `place`, or without a place any and hardly a vocabulary. Raises InputError."""
    library, folder = _library(), folder or str(place)
    settings = {name: value for name, value in settings.items() if name not in _OURS}
    if "auto_map" in settings:
        raise InputError(
            f"the network in '{folder}' needs code of its own, and Agon runs none; take one that transformers knows by itself."
        )
    if "quantization_config" in settings:
        raise InputError(f"the weights in '{folder}' are quantised and cannot be trained; take the whole ones.")
    kind = settings.pop("model_type", None)
    try:
        config = library.AutoConfig.for_model(kind, **settings)
    except Exception as error:  # settings of a wrong type raise what the library likes
        raise InputError(f"transformers does not know the network in '{folder}': {str(error).splitlines()[0][:200]}") from None
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "num_attention_heads"):
        raise InputError(
            f"a network of kind {kind} is neither an encoder nor one that predicts the next token; take one such as bert or gpt2."
        )
    if causal and (type(config) not in library.MODEL_FOR_CAUSAL_LM_MAPPING or hasattr(config, "type_vocab_size")):
        raise InputError(
            f"a network of kind {kind} reads both ways and cannot speak; give one that predicts the next token, such as gpt2, or use it as critic."
        )
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)
    if layers:
        config.num_hidden_layers = min(layers, config.num_hidden_layers)
    make = library.AutoModelForCausalLM if causal else library.AutoModel
    # Eager attention alone has second derivatives, which penalties on slopes take.
    how = {"dtype": torch.float32, "attn_implementation": "eager"}
    try:
        if place is None:
            config.vocab_size = (config.pad_token_id or 0) + 1
            return make.from_config(config, **how)
        made, told = make.from_pretrained(
            str(place), config=config, local_files_only=True, use_safetensors=True, output_loading_info=True, **how
        )
    except Exception as error:  # damaged weights, missing parts and unknown settings share no base
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"the network in '{folder}' cannot be opened: {why}") from None
    missing = [name for name in told["missing_keys"] if not any(word in name for word in _MAY_MISS)]
    if missing:
        raise InputError(
            f"the weights in '{folder}' lack {len(missing)} of the network's, such as {min(missing)}; copy or download them again."
        )
    return made


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
    """For each token of a space the mean of the rows of `table` [pieces, dim] that its text is made of: [V, dim]. Raises InputError."""
    tokeniser = tokeniser_of(place)
    if 1 + max(tokeniser.get_vocab().values()) > len(table):
        raise InputError(
            f"the tokeniser in '{place}' has {tokeniser.get_vocab_size():,} pieces and the network {len(table):,} vectors; they do not belong together."
        )
    made = table.mean(0).repeat(space.vocabulary, 1)
    for token, names in ((PAD, _BEGINS), (END, _ENDS)):
        row = next((found for name in names if (found := tokeniser.token_to_id(name)) is not None), None)
        if row is not None:
            made[token] = table[row]
    if not space.tokenizer:
        return made
    words = json.loads(space.tokenizer)["model"]["type"] == "WordLevel"

    def pieces(text: str) -> list[int]:
        return list(tokeniser.encode(text, add_special_tokens=False).ids)

    for token, text in enumerate(space.decode(torch.arange(FIRST, space.vocabulary)[:, None]), FIRST):
        ids = pieces(text) if "\ufffd" not in text else []
        # Nearly every word stands behind a space, which pieces of bytes have in them; where that makes more pieces the space is one of its own.
        if words and len(spaced := pieces(" " + text)) <= len(ids):
            ids = spaced
        if ids:
            made[token] = table[ids].mean(0)
    return made
