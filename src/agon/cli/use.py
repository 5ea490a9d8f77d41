"""Verbs over a trained run: sample, eval, report, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agon.cli.base import Extra, RunPath, State, Trust, app, line, note, opened, screen
from agon.cli.clips import FirstOption, FpsOption, LengthOption, SwapOption, filmed
from agon.cli.latent import LatentsOption, LayersOption, SpaceOption, codes_of, kind, wished
from agon.cli.settings import assignments
from agon.errors import InputError


@app.command(context_settings=Extra)
def sample(
    context: typer.Context,
    run: RunPath,
    n: Annotated[int | None, typer.Option("-n", "--n", help="How many; default 64, of clips 16.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    label: Annotated[str | None, typer.Option("--class", "--label", help="A class, by name or number.")] = None,
    classes: Annotated[str | None, typer.Option(help="Classes, a row each: 0,1,2 or cat,dog, or all.")] = None,
    per_class: Annotated[int, typer.Option(help="Samples in each row of --classes.")] = 8,
    tags: Annotated[str | None, typer.Option(help="Tags that are on: smile,hat; with ! off: smile,!hat.")] = None,
    numbers: Annotated[str | None, typer.Option(help="Numbers in their own units: age=30,height=1.7; age=20:60 walks.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", help='A caption, such as "a red square moving up"; of a translator the sentence to translate.')
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of text: below 1 safer, above 1 bolder, 0 the likeliest.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Of text: choose among the k likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Of text: choose among the likeliest that make up this share.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Of text: how the sentences begin.")] = None,
    length: LengthOption = None,
    fps: FpsOption = None,
    first: FirstOption = None,
    swap: SwapOption = None,
    interpolate: Annotated[
        int | None, typer.Option(help="Walk between so many latents instead; --out walk.gif, walk.mp4 or walk.png.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Pictures between two latents of a walk; default 24, of clips 6, of text 8.")] = None,
    spherical: Annotated[
        bool | None, typer.Option("--spherical/--linear", help="Ways between latents; default: spherical in z, linear in w.")
    ] = None,
    grid: Annotated[int | None, typer.Option(help="A grid of so many rows and columns between four latents instead.")] = None,
    mix: Annotated[str | None, typer.Option(help="A style mixing table instead, ROWSxCOLUMNS, such as 4x6; w only.")] = None,
    truncation: Annotated[float, typer.Option(help="Towards the mean latent: 1 as drawn, 0.7 safer, 0 the mean.")] = 1.0,
    threshold: Annotated[float | None, typer.Option(help="Cut the normal latent z off at this size.")] = None,
    layers: LayersOption = None,
    space: SpaceOption = "auto",
    latents: LatentsOption = None,
    columns: Annotated[int | None, typer.Option(help="Columns of a grid.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="grid.png, a folder/ of pictures, walk.gif, walk.mp4, x.npz; of clips clip.mp4, .gif, .webp, a sheet.png or a folder/; of sentences x.txt."
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help="ema (averaged) or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Draw samples from a run. What concerns sampling only can be changed by name: --game.steps 4 of a flow."""
    from dataclasses import replace

    from agon.conditions import read_wish
    from agon.latent.sheets import granted
    from agon.samplefile import save_samples
    from agon.spaces import Tokens

    trained = opened(run, state=state, weights=weights, trust=trust, settings=assignments(context.args))
    between = frames if frames is not None else {"video": 6, "tokens": 8}.get(trained.space.kind, 24)
    wish = wished(interpolate, between, spherical, grid, mix, truncation, threshold, layers)
    asked, warnings = read_wish(trained.conditions, label, tags, numbers, text)
    for warning in warnings:
        note(warning)
    for word, given, vocabulary in (("--prefix", prefix, trained.space), ("--text", text, getattr(trained.space, "source", None))):
        if given and isinstance(vocabulary, Tokens):
            strange, of = vocabulary.unknown(given)
            if strange:
                note(f"{strange} of {of} tokens of {word} are not in the run's vocabulary")
    of_clips = {"--length": length, "--fps": fps, "--first": first, "--swap": swap}
    of_text: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "prefix": prefix}
    if trained.space.kind == "tokens" or any(value is not None for value in of_text.values()):
        chosen = {k: v for k, v in of_text.items() if v is not None}
        unfit = [word for word, value in ({**of_clips, "--columns": columns}).items() if value is not None]
        if unfit and trained.space.kind == "tokens":
            raise InputError(f"{unfit[0]} is for pictures or clips; this run makes {trained.space.describe()}. Leave it out.")
        if classes is not None:
            raise InputError("--classes lays out rows of pictures; of text leave it out and ask for one --class at a time.")
        latent = not wish.plain or latents is not None
        if latent and chosen:
            raise InputError(
                f"--{next(iter(chosen)).replace('_', '-')} is for sentences as they are drawn; on ways between latents set --game.choice.temperature instead."
            )
        if latent:
            view, size = trained.latents_in(kind(space)), 20 if n is None else n
            start = None if latents is None else codes_of(view, latents, size, seed, asked)
            spoken = granted(view, wish, size, seed=seed, label=asked or None, start=start)[0]
        else:
            spoken = trained.say(20 if n is None else n, seed=seed, **chosen, **asked)
        if out is None:
            # What nobody asked for by name is shown beside what was made of it.
            drawn_sources = trained.space.source is not None and "text" not in asked
            for said in trained.beside(spoken, seed=seed) if drawn_sources else spoken.texts:
                typer.echo(said)
            return
        line(
            screen(),
            "wrote",
            f"{save_samples(spoken, out)} ({len(spoken)} sentences, seed {seed}, {trained.weights} weights of round {trained.round:,})",
        )
        return
    named = [name for name, value in of_clips.items() if value is not None]
    plain = classes is None and wish.plain and latents is None and space == "auto"
    if named and not plain:
        raise InputError(f"{named[0]} is for clips as they are drawn; leave it out, or --classes and the latent options.")
    if plain and (named or trained.space.kind == "video"):
        written, said, notes = filmed(
            trained, n if n is not None else 16, seed, out, run, columns, asked, length=length, fps=fps, first=first, swap=swap
        )  # fmt: skip
        for each in notes:
            note(each)
        line(screen(), "wrote", f"{written} ({said}, seed {seed}, {trained.weights} weights of round {trained.round:,})")
        return
    if classes is not None and n is not None:
        raise InputError("-n is for samples without rows; with --classes say how many there are in each row: --per-class 8.")
    n = 64 if n is None else n
    if classes is not None:
        if asked or not wish.plain or latents is not None:
            raise InputError(
                "--classes draws a plain row of each class; leave out --class, --tags, --numbers, --text and the latent options."
            )
        every = list(range(trained.space.num_classes))
        rows = every if classes == "all" and every else [word.strip() for word in classes.split(",") if word.strip()]
        drawn, wide = trained.sample_rows(rows, per_class, seed=seed), per_class
    elif replace(wish, layers=None).plain and latents is None:
        if kind(space) == "w":
            trained.latents_in("w")  # says so where there is none
        if layers is not None:
            raise InputError("--layers says which layers --truncation or --mix concern; add one of them, such as --truncation 0.7.")
        drawn, wide = trained.sample(n, seed=seed, **asked), None
    else:
        view = trained.latents_in(kind(space))
        start = None if latents is None else codes_of(view, latents, n, seed, asked)
        drawn, wide = granted(view, wish, n, seed=seed, label=asked or None, start=start)
    name = "walk.gif" if interpolate is not None else "grid.png" if grid else "mix.png" if mix else f"samples-seed{seed}.png"
    if trained.space.kind == "video":
        name = name[: name.rindex(".")] + ".webp"
    written = save_samples(drawn, out or run / name, columns=wide if columns is None else columns)
    line(screen(), "wrote", f"{written} ({len(drawn)} samples, seed {seed}, {trained.weights} weights of round {trained.round:,})")


@app.command("eval", context_settings=Extra)
def evaluate(
    context: typer.Context,
    run: RunPath,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", "-m",
            help="fd fd_inf kid c2st is prdc classes class_accuracy tag_accuracy number_error classwise memorisation modes modes_stacked ppl leak "
            "(docs/metrics.md); of clips fvd motion content consistency nearest_clip obeys scenes (docs/video-metrics.md); of text bleu self_bleu variety "
            "novelty nearest_sentence nll lm reverse_lm oracle valid (docs/text-metrics.md), of text made from text translation rouge round_trip "
            "(docs/translation.md), "
            "or one figure of these; may be repeated. Default: the run's.",
        ),
    ] = None,
    num_samples: Annotated[int | None, typer.Option("--num-samples", help="Samples to draw; default by the held-out split.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    extractor: Annotated[
        str | None, typer.Option(help="auto, classifier, inception, inception-clean, pixels, random, stacked, clips, i3d, sentences, backbone.")
    ] = None,
    extractor_weights: Annotated[
        str | None, typer.Option(help="Local weights file for --extractor inception, folder for backbone; the grey set for stacked.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="A published protocol of text: texygen-coco, texygen-emnlp, texygen-emnlp-half.")] = None,
    weights: Annotated[str, typer.Option(help="ema or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:  # fmt: skip
    """Score a run, each figure with its protocol and floor. The floor is what held-out real samples reach. Sampling can be changed as in `agon sample`.

    Of several metrics, those that do not apply to the run are named with the reason, and the others are taken.
    """
    from agon.records import append_jsonl
    from agon.report.gap import beside_likelihood

    console = screen()
    trained = opened(run, state=state, weights=weights, trust=trust, settings=assignments(context.args))
    scores = trained.evaluate(
        metrics, num_samples=num_samples, seed=seed, say=lambda n, t: line(console, n, t), extractor=extractor,
        extractor_weights=extractor_weights, protocol=protocol, left_out=lambda names, why: line(console, "left out", f"{names}: {why}"),
    )  # fmt: skip
    sampling = {"sampling": trained.sampling} if trained.sampling else {}
    for score in scores:
        line(console, "score", str(score))
    if (beside := beside_likelihood(run, trained.content)) is not None:
        line(console, "likelihood", beside)
    row = {"round": trained.round, "seen": trained.seen, "command": "eval", **sampling}
    try:
        for score in scores:
            append_jsonl(run / "metrics.jsonl", row | score.to_json())
    except OSError as error:
        # The figures are told; a run that lies on a read-only disk only cannot keep them.
        line(console, "note", f"not kept in {run / 'metrics.jsonl'}: {error.strerror or error}")


@app.command()
def report(run: RunPath, out: Annotated[Path | None, typer.Option(help="Default: RUN/report.html.")] = None) -> None:
    """Write one self-contained HTML page about a run."""
    from agon.directory import RunDirectory
    from agon.report import write_report

    line(screen(), "wrote", str(write_report(RunDirectory.open(run).path, out)))


@app.command()
def export(
    run: RunPath,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write generator.onnx and check it against PyTorch.")] = False,
    out: Annotated[Path | None, typer.Option(help="Default: RUN/export.")] = None,
    state: State = "latest",
    trust: Trust = False,
) -> None:
    """Write the generator as safetensors, and as ONNX. It is the averaged one, with game.json beside it."""
    from agon.export import export_run

    console = screen()
    for path, text in export_run(run, out=out, onnx=onnx, state=state, trust=trust):
        line(console, "wrote", f"{path} ({text})")
