"""From a run to files others can use: safetensors with game.json, and ONNX checked against PyTorch. Never a pickle."""

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
from agon.spaces import Video
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
    generator = trained.players.G
    tensors = {k: v.detach().contiguous() for k, v in generator.state_dict().items()}
    try:
        write_safetensors(folder / "generator.safetensors", tensors, {"format": "pt"})
        atomic_write(folder / "game.json", json.dumps(_card(trained), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(f"cannot write to '{folder}': {error.strerror or error}. Choose another --out.") from None
    count = sum(v.numel() for v in tensors.values())
    written = [
        (folder / "generator.safetensors", f"{count:,} numbers, {trained.weights} weights of round {trained.round:,}"),
        (folder / "game.json", "how to rebuild and call it"),
    ]
    if onnx:
        difference = export_onnx(trained, folder / "generator.onnx")
        written.append((folder / "generator.onnx", f"max abs difference to PyTorch {difference:.2g}, limit {TOLERANCE:g}"))
    return written


def _card(trained: Trained) -> dict[str, Any]:
    content = trained.content
    z = trained.game.latents(trained.players, 1)
    return {
        "format": 1, "game": content["game"], "space": content["space"], "round": trained.round, "seen": trained.seen,
        "weights": trained.weights, "latent": {"shape": list(z.shape[1:]), "distribution": _distribution(trained)},
        "inputs": {name: [str(value.dtype).removeprefix("torch."), "n", *value.shape[1:]] for name, value in _inputs(trained, 1).items()},
        "output": {"shape": list(trained.space.shape), "range": [-1, 1]}, "classes": list(trained.space.classes), "condition": _condition(trained),
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


def _inputs(trained: Trained, n: int) -> dict[str, Tensor]:
    """The generator's inputs for n samples, by name."""
    game, p = trained.game, trained.players
    latents, y = game.latents(p, n).cpu(), trained.conditions.draw(n)
    if isinstance(trained.space, Video) and makes_clips(game, p, trained.space):
        z, e = parted(game, p, latents, trained.space.frames)
        given = {"z": z, "e": e}
    else:
        given = {"z": latents}
    given |= {} if y is None else {"y": y}
    return given | ({"first": trained.space.normalise(firsts.kept(trained.directory, n))} if needs_first(game) else {})


def export_onnx(trained: Trained, path: Path) -> float:
    """Write the generator as ONNX with a dynamic batch; return the largest difference to PyTorch. Raises InputError above 1e-4."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX export needs {error.name}; install it with: pip install 'agon-gan[export]'") from None
    given = _inputs(trained, 4)
    call = _Call(trained.players.G, tuple(given)).eval()
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
        given = _inputs(trained, n)
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
