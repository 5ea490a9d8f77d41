"""The verb that draws quality against diversity of a text run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agon.cli.base import RunPath, State, Trust, app, line, opened, screen


@app.command()
def curve(
    run: RunPath,
    temperatures: Annotated[str | None, typer.Option(help="Numbers with commas between; default 0.5,0.6,0.7,0.8,0.9,1,1.1,1.2.")] = None,
    likelihood: Annotated[Path | None, typer.Option(help="A likelihood run on the same text: also tell how far RUN lies above its curve.")] = None,
    num_samples: Annotated[int | None, typer.Option("-n", "--num-samples", help="Sentences a point; default as many as are held out, at most 10,000.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    protocol: Annotated[str | None, typer.Option(help="A published protocol: texygen-coco, texygen-emnlp, texygen-emnlp-half.")] = None,
    weights: Annotated[str, typer.Option(help="ema or raw.")] = "ema",
    state: State = "latest",
    trust: Trust = False,
) -> None:  # fmt: skip
    """Draw quality against diversity of a text run. BLEU and self-BLEU over temperatures, with the point of real sentences; in RUN/curve.json.

    With --likelihood RUN, the curve is that run's, and RUN is a point beside it: BLEU-4 at equal self-BLEU-4, with an interval. On oracle, oracle-stream and
    arithmetic also both divergences over temperatures, KL(P‖G) above likelihood's curve at equal NLL-oracle, and a verdict.
    """
    import json

    from agon import curve as curves
    from agon import known
    from agon.data.request import LANGUAGES
    from agon.errors import InputError
    from agon.metrics.protocols import PLAIN, protocol_of
    from agon.records import atomic_write

    console = screen()
    try:
        asked = curves.TEMPERATURES if temperatures is None else tuple(float(word) for word in temperatures.split(","))
    except ValueError:
        raise InputError(f"--temperatures got '{temperatures}'; expected numbers with commas between, such as 0.7,0.85,1.") from None
    own = opened(run, state=state, weights=weights, trust=trust)
    other = own if likelihood is None else opened(likelihood, weights=weights, trust=trust)
    if other.content["content_hash"] != own.content["content_hash"]:
        raise InputError(f"'{run}' and '{likelihood}' were trained on different data; a gap needs one text for both.")
    data_set = own.data()
    named = PLAIN if protocol is None else protocol_of(protocol)
    if named.samples and num_samples not in (None, named.samples):
        raise InputError(f"protocol '{named.name}' fixes {named.samples:,} sentences a point; leave out -n.")
    if num_samples is not None and num_samples < 1:
        raise InputError(f"-n is {num_samples}; expected 1 or more sentences a point.")
    count = num_samples or named.samples or min(10_000, len(data_set.held))

    def say(name: str, text: str) -> None:
        line(console, name, text)

    points = curves.curve(other, asked, num_samples=count, seed=seed, data_set=data_set, say=say, protocol=named)
    told = curves.protocol(data_set, count, seed, named)
    content: dict[str, Any] = {"protocol": told, "round": own.round, "points": [p.to_json() for p in points]}
    if likelihood is not None:
        place = curves.place_of(own, num_samples=count, seed=seed, data_set=data_set, protocol=named)
        found = curves.gap(place, points)
        say("run", curves.row(place))
        say("gap", f"BLEU-4 at equal self-BLEU-4: {found}")
        content |= {"run": place.to_json(), "likelihood": str(likelihood), "gap": found.to_json()}
    if own.run.data.path in LANGUAGES:
        ground = known.ground_of(own, data_set)
        places = ground.curve(other, asked, num_samples=count, seed=seed, say=say)
        content["known"] = {"points": [p.to_json() for p in places]}
        if likelihood is not None:
            mine, theirs = (ground.place(trained, num_samples=count, seed=seed) for trained in (own, other))
            said, over = known.verdict(mine, theirs), known.above(mine, places)
            say("run", str(mine))
            say("gap", f"KL(P‖G) above likelihood's curve at equal {'NLL-oracle' if mine.valid is None else 'grammar'}: {over}")
            say("gate", str(said))
            content["known"] |= {"run": mine.to_json(), "gap": over.to_json(), "verdict": {"word": said.word, "why": said.why}}
    say("protocol", told)
    try:
        atomic_write(run / "curve.json", json.dumps(content, indent=1))
    except OSError as error:
        say("note", f"not kept in {run / 'curve.json'}: {error.strerror or error}")
