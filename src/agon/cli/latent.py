"""Verbs of the latent space: find and apply edits, project pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agon.cli.base import RunPath, State, Trust, app, line, opened, screen
from agon.cli.clips import read_table
from agon.errors import InputError, suggest

if TYPE_CHECKING:
    from agon.latent import Codes, Latents
    from agon.latent.sheets import Wish
    from agon.trained import Trained

SpaceOption = Annotated[str, typer.Option("--space", help="z, w, or auto: w where the generator has a mapping.")]
LayersOption = Annotated[str | None, typer.Option(help="Layers of w, such as 0-3 or 0,2,5-7; default all.")]
LatentsOption = Annotated[Path | None, typer.Option("--latents", help="Codes from a file that `agon project` wrote, instead of a seed's.")]
Weights = Annotated[str, typer.Option(help="ema (averaged) or raw.")]


@app.command()
def edit(
    run: RunPath,
    method: Annotated[str | None, typer.Option(help="Find directions: sefa, ganspace, or difference of two groups of samples.")] = None,
    count: Annotated[int, typer.Option(help="How many directions to find.")] = 5,
    more: Annotated[str | None, typer.Option(help="difference: numbers of samples of --seed that have it, such as 0,4,9.")] = None,
    less: Annotated[str | None, typer.Option(help="difference: numbers of samples that lack it.")] = None,
    name: Annotated[str | None, typer.Option(help="difference: what to call it.")] = None,
    apply: Annotated[list[str] | None, typer.Option("--apply", help="NAME=AMOUNT, such as sefa-0=2.5; may be repeated.")] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Samples to edit; rows of a strip.")] = 6,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    label: Annotated[str | None, typer.Option("--class", "--label", help="A class, by name or number.")] = None,
    layers: LayersOption = None,
    latents: LatentsOption = None,
    space: SpaceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="x.png, a folder/ or x.npz; strips: a folder, default RUN/edits.")] = None,
    weights: Weights = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Find directions and save them by name, or apply saved ones. With neither, list what is saved."""
    from agon.directory import RunDirectory
    from agon.latent import read_amounts, read_edits
    from agon.latent.directions import METHODS
    from agon.samplefile import save_samples

    console = screen()
    if method is not None and apply:
        raise InputError("--method finds directions and --apply uses them; do one after the other.")
    if method not in (None, *METHODS, "difference"):
        methods = (*METHODS, "difference")
        raise InputError(f"--method is '{method}'; expected {', '.join(methods)}.{suggest(method, methods)}")
    RunDirectory.open(run)
    if method is None and not apply:
        edits = read_edits(run)
        for entry in edits:
            line(console, entry.name, f"{entry.method} in {entry.space}; 1 is {entry.scale:.3g} long; {entry.note}", width=14)
        if not edits:
            opened(run, state=state, weights=weights, trust=trust).latents_in(kind(space)).draw(1)  # says so where there are none
            line(console, "edits", f"none yet. Find some: agon edit {run} --method sefa")
        return
    trained = opened(run, state=state, weights=weights, trust=trust)
    view = trained.latents_in(kind(space))
    if method is not None:
        _find(trained, view, method, count, more, less, name, n, seed, label, layers, latents, out)
        return
    from agon.latent import named

    known, moved = trained.edits(), codes_of(view, latents, n, seed, label)
    chosen = [(named(known, word), amount) for word, amount in read_amounts(apply or [])]
    for entry, amount in chosen:
        if entry.weights != view.weights_sha():
            line(console, "note", f"{entry.name} was found on other weights of this run; find it again if it does not do what it did.")
        moved = view.edited(moved, entry, amount)
    written = save_samples(
        view.pictures(moved, seed=seed), out or run / {"video": "edited.webp", "tokens": "edited.txt"}.get(trained.space.kind, "edited.png")
    )
    line(console, "wrote", f"{written} ({len(moved)} samples, {', '.join(f'{entry.name} {amount:+g}' for entry, amount in chosen)})")


def _find(
    trained: Trained, view: Latents, method: str, count: int, more: str | None, less: str | None, name: str | None, n: int, seed: int,
    label: str | None, layers: str | None, latents: Path | None, out: Path | None,
) -> None:  # fmt: skip
    from agon.latent import difference, read_layers, save_edits
    from agon.latent.sheets import AMOUNTS, strip
    from agon.spaces import Image, Video

    chosen = None if layers is None else read_layers(layers)
    if method == "difference":
        if not (more and less and name):
            raise InputError("--method difference needs --more, --less and --name, such as --more 0,4 --less 1,2 --name bold.")
        if not re.fullmatch(r"[\w-][\w .-]{0,63}", name):
            raise InputError(f"--name is '{name}'; expected letters, digits, '-', '_' and '.', such as bold: it becomes a file's name.")
        picked = [read_layers(text, "--more and --less") for text in (more, less)]
        codes = codes_of(view, latents, max(map(max, picked)) + 1, seed, label)
        found = [difference(view, codes[picked[0]], codes[picked[1]], name, layers=chosen)]
    else:
        found = view.find(method, count, layers=chosen, label=label)
    console, path = screen(), save_edits(trained.directory.path, found)
    line(console, "wrote", f"{path} ({len(found)} found)")
    if not isinstance(trained.space, (Image, Video)):
        return
    suffix = ".png" if isinstance(trained.space, Image) else ".webp"
    rows, folder = codes_of(view, latents, n, seed, label), out or trained.directory.path / "edits"
    for entry in found:
        sheet = strip(view, rows, entry, seed=seed).save(folder / f"{entry.name}{suffix}", columns=len(AMOUNTS))
        line(console, entry.name, f"{sheet} ({entry.note})", width=14)


@app.command()
def project(
    run: RunPath,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Picture files, or folders of them; of text, files of sentences.")
    ],
    out: Annotated[Path, typer.Option(help="A folder/ for latents.npz, pairs.png and projection.json.")] = Path("projected"),
    steps: Annotated[int, typer.Option(help="Of Adam, for each start.")] = 300,
    starts: Annotated[int, typer.Option(help="Best random codes to start from.")] = 4,
    label: Annotated[str | None, typer.Option("--class", "--label", help="A class; left out, the class is searched for.")] = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Each layer of w for itself: nearer, less editable.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random codes.")] = 0,
    space: SpaceOption = "auto",
    weights: Weights = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Find the codes that come nearest to given pictures. What error remains is said; of sentences, the codes that the encoder gives."""
    import json

    import torch

    from agon.latent import save_codes
    from agon.latent.sheets import beside
    from agon.records import atomic_write
    from agon.spaces import Image

    trained, console = opened(run, state=state, weights=weights, trust=trust), screen()
    if trained.space.kind == "tokens":
        _encoded(trained, pictures, out)
        return
    if not isinstance(trained.space, Image):
        raise InputError(f"agon project takes pictures; this run makes {trained.space.describe()}. Use run.latents.project in Python.")
    files = _picture_files(pictures)
    target = torch.stack([torch.from_numpy(_decoded(trained.space, path)) for path in files])
    view = trained.latents_in(kind(space))
    from agon.latent.projection import lpips_for
    from agon.latent.projection import project as nearest

    perceptual = lpips_for(view)
    if perceptual is None:
        line(console, "note", "pixels alone are compared; AGON_LPIPS names a folder with the weights of LPIPS")
    found = nearest(view, target, steps=steps, starts=starts, label=label, per_layer=per_layer, perceptual=perceptual, seed=seed)
    save_codes(found.codes, out / "latents.npz")
    entries: list[dict[str, Any]] = [
        {"picture": str(path), "space": view.kind, **row} for path, row in zip(files, found.to_json(), strict=True)
    ]
    if found.codes.y is not None:
        entries = [entry | {"label": y} for entry, y in zip(entries, found.codes.y.tolist(), strict=True)]
    record = {"run": str(run), "round": trained.round, "steps": steps, "pictures": entries}
    atomic_write(out / "projection.json", json.dumps(record, indent=1) + "\n")
    sheet = trained.space.render(beside(found.target, found.shown), out / "pairs.png", columns=min(8, 2 * len(files)))
    for entry in entries:
        told = f"MSE {entry['mse']:.4g}, PSNR {entry['psnr']:.1f} dB; the best random code: MSE {entry['random_mse']:.4g}"
        told += f"; LPIPS {entry['lpips']:.3f}" if "lpips" in entry else ""
        line(console, Path(entry["picture"]).name, told)
    line(console, "wrote", f"{sheet} (target, projection, …), latents.npz and projection.json beside it")


def _encoded(trained: Trained, files: list[Path], out: Path) -> None:
    """The codes of the sentences of text files, a line each, and beside each sentence what its code says."""
    from agon.latent import save_codes
    from agon.records import atomic_write

    try:
        lines = [text.strip() for path in files for text in path.read_text("utf-8").splitlines() if text.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{' '.join(map(str, files))} cannot be read as text ({error}); give files of sentences, a line each.") from None
    codes = trained.encode(lines)
    said = trained.latents.pictures(codes).texts
    save_codes(codes, out / "latents.npz")
    atomic_write(out / "pairs.tsv", "".join(f"{one}\t{other}\n" for one, other in zip(lines, said, strict=True)))
    line(screen(), "wrote", f"{out / 'latents.npz'} ({len(lines)} sentences), and what their codes say in pairs.tsv beside it")


def wished(
    interpolate: int | None, frames: int, spherical: bool | None, grid: int | None, mix: str | None, truncation: float,
    threshold: float | None, layers: str | None,
) -> Wish:  # fmt: skip
    """What `agon sample` was asked for beside the number and the seed. Raises InputError."""
    from agon.latent import read_layers
    from agon.latent.sheets import Wish

    table = None
    if mix is not None:
        table = read_table(mix, "--mix")
    return Wish(
        truncation=truncation, threshold=threshold, layers=None if layers is None else read_layers(layers), interpolate=interpolate,
        frames=frames, spherical=spherical, grid=grid, mix=table,
    )  # fmt: skip


def kind(space: str) -> Any:
    """A latent space by name. Raises InputError."""
    if space not in ("auto", "z", "w"):
        raise InputError(f"--space is '{space}'; expected auto, z or w.")
    return space


def codes_of(view: Latents, latents: Path | None, n: int, seed: int, label: Any) -> Codes:
    """The codes of a file, or of a seed."""
    from agon.latent import load_codes

    if latents is None:
        return view.draw(n, seed=seed, label=label)
    codes = load_codes(latents)
    view.check(codes)
    return codes


def _picture_files(places: list[Path]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise InputError(f"'{place}' does not exist; expected a picture or a folder of pictures.")
        files += sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")) if place.is_dir() else [place]
    if not files:
        raise InputError(f"'{places[0]}' holds no pictures. Give picture files or a folder of them.")
    return files


def _decoded(space: Any, path: Path) -> Any:
    from agon.spaces import Unreadable

    try:
        return space.decode(path.read_bytes())
    except (Unreadable, OSError) as error:
        raise InputError(f"'{path}' cannot be used: {error}. Give pictures alone.") from None
