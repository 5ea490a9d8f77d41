"""Dataclass ↔ JSON ↔ command line, and what a wrong name or type is told."""

from __future__ import annotations

import pytest

from agon.config import choose_kinds, decode, encode, override, read
from agon.errors import InputError, suggest
from agon.games.r3gan import R3GAN
from agon.games.video import VideoGAN
from agon.networks.clips.frames import Frames
from agon.networks.clips.sparse import Sparse
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper
from agon.networks.sngan import SNResNet
from agon.optim import Adam
from agon.schedule import Cosine, Exponential, Warmup


def test_round_trip_keeps_nested_choices() -> None:
    adam = Adam(lr=Warmup(then=Cosine(start=1e-3, end=1e-4, span=100), span=10), betas=(0.0, Cosine(start=0.9, end=0.99, span=100)))
    game = R3GAN(net=R3Paper(widths=(8, 8)), optim={"G": adam, "D": Adam(lr=1e-3)}, gamma=Exponential(start=1, end=0.1, span=5))
    assert decode(R3GAN, encode(game)) == game
    assert isinstance(decode(R3GAN, encode(R3GAN(net=R3Lean()))).net, R3Lean)


def test_override_sets_dotted_names() -> None:
    data = override(encode(R3GAN()), {"gamma": "0.25", "optim.G.lr": "1e-4", "net.widths": "[8, 4]"})
    game = decode(R3GAN, data)
    assert (game.gamma, game.optim["G"].lr, game.net.widths) == (0.25, 1e-4, (8, 4))  # type: ignore[union-attr]
    assert game.optim["D"].lr == R3GAN().optim["D"].lr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gama", "unknown option '--gama'; this run has .* Did you mean '--gamma'"),
        ("optim.G.learning", "unknown option '--optim.G.learning'; optim.G has lr, betas"),
        ("optim.H.lr", "unknown option '--optim.H.lr'; optim has G, D"),
        ("gamma.start", "gamma is a single value"),
    ],
)
def test_unknown_names_are_told(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        override(encode(R3GAN()), {name: "1"})


def test_wrong_types_are_told() -> None:
    with pytest.raises(InputError, match=r"game.z_dim: got 'many'"):
        decode(R3GAN, override(encode(R3GAN()), {"z_dim": "many"}), "game")
    with pytest.raises(InputError, match="unknown name 'game.zdim'.* Did you mean 'z_dim'"):
        decode(R3GAN, {"zdim": 3}, "game")


def test_values_are_read_as_json_where_they_are() -> None:
    assert [read(v) for v in ("1e-3", "true", "null", "[1, 2]", "lanczos", "1x")] == [1e-3, True, None, [1, 2], "lanczos", "1x"]


def test_suggestions_are_close_or_absent() -> None:
    assert suggest("r3gann", ["r3gan", "dcgan"]) == " Did you mean 'r3gan'?"
    assert suggest("zebra", ["r3gan"]) == ""


def test_a_part_is_chosen_by_its_kind_and_then_set() -> None:
    data, rest = choose_kinds(R3GAN, encode(R3GAN()), {"net": "mlp", "net.width": "32", "gamma": "0.5"})
    game = decode(R3GAN, override(data, rest))
    assert game.net == MLP(width=32)
    assert game.gamma == 0.5


def test_an_unknown_kind_is_named_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="'r3-leen' is unknown; expected one of .*r3-lean.*Did you mean 'r3-lean'"):
        choose_kinds(R3GAN, encode(R3GAN()), {"net": "r3-leen"})


def test_a_part_inside_a_list_is_chosen_by_its_kind() -> None:
    data, rest = choose_kinds(VideoGAN, encode(VideoGAN()), {"judges": "sparse,frames", "judges.1.net": "sngan", "judges.1.frames": "2"})
    game = decode(VideoGAN, override(data, rest))
    assert game.judges == (Sparse(), Frames(frames=2, net=SNResNet()))
    data, rest = choose_kinds(VideoGAN, encode(VideoGAN()), {"judges.2.net": "sngan"})
    with pytest.raises(InputError, match=r"judges has 0, 1"):
        override(data, rest)


def test_lists_of_parts_are_addressed_by_position() -> None:
    assert override({"parts": [{"a": 1}, {"a": 2}]}, {"parts.1.a": 5}) == {"parts": [{"a": 1}, {"a": 5}]}
    with pytest.raises(InputError, match=r"parts has 0, 1"):
        override({"parts": [{"a": 1}, {"a": 2}]}, {"parts.2.a": 5})


def test_errors_name_every_step_of_the_path() -> None:
    wrong = override(encode(R3GAN()), {"optim.G.lr": "fast"})
    with pytest.raises(InputError, match=r"^game\.optim\.G\.lr: got 'fast'"):
        decode(R3GAN, wrong, "game")
