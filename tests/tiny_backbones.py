"""Small pretrained-like networks in folders, made here with random weights: one that speaks (GPT-2) and one that encodes (BERT)."""

from __future__ import annotations

from pathlib import Path

WORDS = ("a", "man", "dog", "cat", "rides", "sees", "horse", "bike", "red", "the")


def tokeniser(place: Path, signs: tuple[str, ...]) -> int:
    """Write a tokeniser of words and of single letters for others; how many pieces it has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = [*signs, "[UNK]", *WORDS, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"), *"bcdefghijklmnopqrstuvwxyz"]
    found = Tokenizer(models.WordPiece({piece: k for k, piece in enumerate(pieces)}, unk_token="[UNK]"))
    found.normalizer, found.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    found.enable_padding(length=16)  # as some folders have it: players must not see it
    found.save(str(place / "tokenizer.json"))
    return len(pieces)


def speaker(place: Path) -> Path:
    """GPT-2 of two layers of 8."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    place.mkdir(parents=True, exist_ok=True)
    size = tokeniser(place, ("<|endoftext|>",))
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=size, n_embd=8, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(place)
    return place


def encoder(place: Path) -> Path:
    """BERT of two layers of 8."""
    import torch
    from transformers import BertConfig, BertModel

    place.mkdir(parents=True, exist_ok=True)
    size = tokeniser(place, ("[PAD]", "[CLS]", "[SEP]"))
    torch.manual_seed(2)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=size, max_position_embeddings=64, **sizes)).save_pretrained(place)
    return place
