"""From a run to files others can use: safetensors with game.json, and ONNX checked against PyTorch. Never a pickle.

Of text the generator is a function from the tokens said so far to the logits of the next: logits[:, t] are of token t given those before it, whatever
stands at t and behind. Games that speak from a code have a second file, `speaker`, whose condition y is what `generator` makes of z.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agon import firsts
from agon.clips import makes_clips, parted
from agon.errors import InputError
from agon.records import atomic_path, atomic_write, write_safetensors
from agon.sampling import needs_first
from agon.spaces import Tokens, Video
from agon.spaces.tokens import FIRST
from agon.trained import Trained, load

TOLERANCE = 1e-4  # largest difference allowed between ONNX Runtime and PyTorch, in the range [-1, 1]


def export_run(
    path: Path, *, out: Path | None = None, onnx: bool = False, state: str = "latest", trust: bool = False
) -> list[tuple[Path, str]]:
    """Write the averaged generator; return each file with a word about it. Raises InputError if ONNX's output differs above 1e-4."""
    trained = load(path, state=state, device="cpu", trust=trust)
    if "G" not in trained.players:
        raise InputError(f"'{path}' has no player 'G' to export; it has {', '.join(trained.players)}.")
    folder = out or path / "export"
    written: list[tuple[Path, str]] = []
    try:
        for name, part in _parts(trained).items():
            tensors = {k: v.detach().contiguous() for k, v in part.state_dict().items()}
            write_safetensors(folder / f"{name}.safetensors", tensors, {"format": "pt"})
            count = sum(v.numel() for v in tensors.values())
            written.append((folder / f"{name}.safetensors", f"{count:,} numbers, {trained.weights} weights of round {trained.round:,}"))
        atomic_write(folder / "game.json", json.dumps(_card(trained), indent=1, ensure_ascii=False) + "\n")
        written.append((folder / "game.json", "how to rebuild and call it"))
        for name, tokeniser in _tokenisers(trained).items():
            atomic_write(folder / name, tokeniser)
            written.append((folder / name, "between text and tokens, of the library 'tokenizers'"))
    except OSError as error:
        raise InputError(f"cannot write to '{folder}': {error.strerror or error}. Choose another --out.") from None
    if onnx:
        for name in _parts(trained):
            difference = export_onnx(trained, folder / f"{name}.onnx", name)
            written.append((folder / f"{name}.onnx", f"max abs difference to PyTorch {difference:.2g}, limit {TOLERANCE:g}"))
    return written


def _parts(trained: Trained) -> dict[str, nn.Module]:
    """The networks that samples need, by the name of their file."""
    return {file: trained.players[name] for name, file in (("G", "generator"), ("S", "speaker")) if name in trained.players}


def _tokenisers(trained: Trained) -> dict[str, str]:
    """Files of tokenisers and their content; none where tokens have no text."""
    if not isinstance(trained.space, Tokens):
        return {}
    source = trained.space.source
    told = {"tokenizer.json": trained.space.tokenizer, "source-tokenizer.json": source.tokenizer if source else ""}
    return {name: content for name, content in told.items() if content}


def _card(trained: Trained) -> dict[str, Any]:
    content, space = trained.content, trained.space
    given = {part: _inputs(trained, 1, part) for part in _parts(trained)}
    z = given["generator"].get("z")
    shapes = {
        part: {name: [str(v.dtype).removeprefix("torch."), "n", *v.shape[1:]] for name, v in inputs.items()} for part, inputs in given.items()
    }  # fmt: skip
    said = {"logits": [*space.shape, space.vocabulary]} if isinstance(space, Tokens) else {"shape": list(space.shape), "range": [-1, 1]}
    return {
        "format": 1, "game": content["game"], "space": content["space"], "round": trained.round, "seen": trained.seen, "weights": trained.weights,
        "latent": None if z is None else {"shape": list(z.shape[1:]), "distribution": _distribution(trained)},
        **{"inputs" if part == "generator" else f"inputs of {part}": told for part, told in shapes.items()},
        "output": said, "classes": list(space.classes), "condition": _condition(trained),
        "content_hash": content["content_hash"], "environment": content["environment"],
    }  # fmt: skip


def _condition(trained: Trained) -> dict[str, Any] | None:
    """How to make the input y; None for an unconditional generator."""
    space, known = trained.space, trained.conditions
    if space.classes:
        return {"kind": "classes", "names": list(space.classes), "y": "int64 [n], the place in names"}
    if space.tags:
        return {"kind": "tags", "names": list(space.tags), "y": "float32 [n, k], 1 where a tag is on, else 0"}
    if space.numbers:
        return {
            "kind": "numbers", "names": list(space.numbers), "mean": list(known.mean), "sd": list(known.sd),
            "y": "float32 [n, k], (value - mean) / sd",
        }  # fmt: skip
    if isinstance(space, Tokens) and space.source is not None:
        return {"kind": "source", "tokenizer": "source-tokenizer.json", "y": "int64 [n, S], its tokens and an end (1), padded with 0"}
    if space.words:
        return {"kind": "captions", "names": list(space.words), "y": "int64 [n, L], a word's place in names plus 1, padded with 0"}
    return None


def _distribution(trained: Trained) -> str:
    signs = getattr(trained.game, "signs", 0)
    return f"standard normal, the first {signs} coordinates replaced by their sign" if signs else "standard normal"


class _Call(nn.Module):
    """The generator as a function of tensors only: z, for clips the motion noise e, y where there is a condition, and a first frame."""

    def __init__(self, generator: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.generator, self.names = generator, names

    def forward(self, z: Tensor, b: Tensor | None = None, c: Tensor | None = None, d: Tensor | None = None) -> Tensor:
        given = {name: value for name, value in zip(self.names, (z, b, c, d), strict=False) if value is not None}
        more = {"first": given.pop("first")} if "first" in given else {}
        return self.generator(*given.values(), **more)


def _inputs(trained: Trained, n: int, part: str = "generator") -> dict[str, Tensor]:
    """The inputs of a part for n samples, by name."""
    game, p = trained.game, trained.players
    if isinstance(trained.space, Tokens) and (part == "speaker" or "S" not in p):
        return _read(trained, n)
    latents, y = game.latents(p, n).cpu(), None if isinstance(trained.space, Tokens) else trained.conditions.draw(n)
    if isinstance(trained.space, Video) and makes_clips(game, p, trained.space):
        z, e = parted(game, p, latents, trained.space.frames)
        given = {"z": z, "e": e}
    else:
        given = {"z": latents}
    given |= {} if y is None else {"y": y}
    return given | ({"first": trained.space.normalise(firsts.kept(trained.directory, n))} if needs_first(game) else {})


def _read(trained: Trained, n: int) -> dict[str, Tensor]:
    """Sentences of random tokens, and what they are said of: a condition, a source or a code."""
    game, p, space = trained.game, trained.players, trained.space
    assert isinstance(space, Tokens)
    dice = torch.Generator().manual_seed(n)
    given = {"tokens": torch.randint(FIRST, space.vocabulary, (n, *space.shape), generator=dice)}
    if "S" in p:
        return given | {"y": p.G(game.latents(p, n)).cpu()}
    if space.source is not None:
        return given | {"y": torch.randint(FIRST, space.source.vocabulary, (n, *space.source.shape), generator=dice)}
    y = trained.conditions.draw(n)
    return given if y is None else given | {"y": y}


def export_onnx(trained: Trained, path: Path, part: str = "generator") -> float:
    """Write a part, by default the generator, as ONNX with a dynamic batch; return the largest difference to PyTorch. Raises InputError above 1e-4."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX export needs {error.name}; install it with: pip install 'agon-gan[export]'") from None
    if isinstance(trained.space, Tokens) and trained.space.source is not None:
        raise InputError(
            "a generator that reads a source of any length cannot be written as ONNX; leave out --onnx: the safetensors are whole."
        )
    given = _inputs(trained, 4, part)
    call = _Call(_parts(trained)[part], tuple(given)).eval()
    batch = torch.export.Dim("batch", min=1, max=65536)
    shapes = tuple({0: batch} for _ in given)
    # The exporter prints its progress; what matters is checked below.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                call, tuple(given.values()), dynamo=True, input_names=list(given), output_names=["x"], dynamic_shapes=shapes
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().split("\n")[0]
            raise InputError(f"this generator cannot be written as ONNX ({reason}); leave out --onnx: the safetensors are whole.") from None
    assert program is not None
    with atomic_path(path) as temporary:
        program.save(str(temporary))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for n in (1, 7):
        given = _inputs(trained, n, part)
        with torch.no_grad():
            expected = call(*given.values())
        try:
            got = torch.from_numpy(session.run(None, {name: value.numpy() for name, value in given.items()})[0])
        except Exception as error:  # onnxruntime's own classes; most often a number of samples that was written down as a constant
            path.unlink(missing_ok=True)
            raise InputError(
                f"the ONNX file does not run ({str(error).strip().splitlines()[0][:200]}); it was removed. Use the safetensors."
            ) from None
        worst = max(worst, (expected - got).abs().max().item())
    if not worst <= TOLERANCE:
        path.unlink(missing_ok=True)
        raise InputError(
            f"the ONNX file differs from PyTorch by {worst:.3g}, more than {TOLERANCE:g}; it was removed. Use the safetensors."
        )
    return worst
