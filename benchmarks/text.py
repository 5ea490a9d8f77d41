r"""Text games at equal processor time in one table, beside real sentences and the temperature curve of likelihood training.

    python benchmarks/text.py run --set coco=$AGON_DATA/text_coco --set oracle=oracle --recipes likelihood scratchgan \
        --seeds 0 1 2 --cpu-seconds 600 --out runs/text
    python benchmarks/text.py apart --encoder FOLDER --out runs/text
    python benchmarks/text.py table
    python benchmarks/text.py samples --set coco --out runs/text

`run` does what is missing, one row (set, recipe, seed) after the other, one thread, and writes each to benchmarks/results/text/SET-RECIPE-SEED.json; it may
be stopped at any time and goes on where it stopped. Before a row it plays a few rounds to learn what one costs and sets their number so that the
recipe's schedules span the budget; likelihood, which learns by heart what it reads too often, stops where its recipe does. Training alone counts.
Final averaged weights are scored, by as many samples as there are held-out sentences, at most --num-samples. `table` prints Markdown. The gap is BLEU-4
above the likelihood row of the same seed at equal self-BLEU-4 (`agon curve`): start with the recipe likelihood. Of text with a known likelihood (`oracle`,
`oracle-stream`, `arithmetic`; NAME=PATH@40 takes sentences of 40 words) the table has both divergences instead of BLEU, likelihood at other temperatures, how
far KL(P‖G) lies above that curve at equal NLL-oracle (of a grammar: at as many grammatical sentences), a verdict in words, and published figures beside the
oracle at length 20. `apart` adds to every row whose run is
there how often a classifier tells its samples from training sentences (`c2st`) by what a pretrained encoder makes of them, and the Fréchet distance there;
for likelihood at several temperatures. `--encoder` is also the critic that the recipe residual-pretrained begins with. `samples` prints sentences
of each row at temperature 1, drawn with one seed and not chosen; where the set has classes, each behind the class it was asked for, and the table
has the share of samples in the class asked for. `--setting` changes a recipe, `--from` begins it with another run's speaker, and `--as` names its rows then.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from alone import each_alone
from torch import Tensor

from agon import curve, known
from agon.data import Data, open_data
from agon.directory import RunDirectory
from agon.metrics import Score, evaluate, make_extractor
from agon.reproduce import commit, processor, spend, train
from agon.run import play, prepare
from agon.trained import Trained, load

RESULTS = Path(__file__).parent / "results" / "text"
BASE = "likelihood"
APART = (0.8, 0.9, 1.1)  # temperatures at which likelihood's samples are told apart too
OWN = (BASE, "residual-pretrained")  # recipes that keep their own length, the second until the time is up
PROBE = (5, 20)  # rounds played before and while the clock runs
LONG = 1_000_000  # rounds in which any recipe's part of likelihood has the length it takes of itself
KNOWN = ("oracle", "oracle-stream", "arithmetic")
OF_TEXT = ["fd", "c2st", "nll", "variety", "novelty", "nearest_sentence", "lm", "reverse_lm"]
OF_CLASSES = ["class_accuracy"]
OF_KNOWN = ["oracle", "nll", "unique", "valid"]
# Nats a token at length 20 on the published oracle, another draw of weights than ours, with entropy 5.747: NLL-oracle and, where it was told, NLL-test.
# RelGAN (Nie et al. 2019) for the first five and its own; Caccia et al. 2020, arXiv:1811.02549, their released figures, for the rest.
PUBLISHED = {
    "MLE (RelGAN's table)": (9.038, None), "SeqGAN (the same)": (8.736, None), "RankGAN (the same)": (8.247, None), "LeakGAN (the same)": (7.038, None),
    "RelGAN (the same)": (6.680, None), "MLE (Caccia et al.)": (9.400, 7.610), "CoT (the same)": (9.595, 7.565), "SeqGAN (the same, theirs)": (9.617, 9.215),
    "LeakGAN (the same, theirs)": (10.59, 11.27), "RL-GAN chosen by NLL-oracle: collapsed": (7.196, 20.15),
}  # fmt: skip
ENTROPY = 5.747


def settings(
    seed: int, rounds: int, recipe: str = "", encoder: Path | None = None, changed: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:  # fmt: skip
    """What every row shares, the encoder that a pretrained critic begins with, and what was changed by name."""
    every = max(1, rounds // 20)
    own = {"game.judge_net.folder": str(encoder)} if recipe == "residual-pretrained" else {}
    return own | dict(changed) | {
        "seed": seed, "threads": 1, "device": "cpu", "tensorboard": False, "score_every": 0, "metrics": [], "rounds": rounds, "tick": every,
        "save_every": every,
    }  # fmt: skip


def planned(name: str, label: str, data: Data, recipe: str, options: argparse.Namespace) -> int:
    """Rounds that take so many processor seconds, or those of another seed, so that seeds differ in nothing else."""
    for path in sorted(options.results.glob(f"{name}-{label}-[0-9]*.json")):
        found = json.loads(path.read_text())
        if found["budget"] == options.cpu_seconds:
            return int(found["planned_rounds"])

    def seconds(**changed: str) -> float:
        """Processor seconds of a round."""
        low, high = PROBE
        with tempfile.TemporaryDirectory() as folder:
            wish = settings(0, high, recipe, options.encoder, options.changed | changed) | {"tick": low}
            directory, _ = prepare(data, out=Path(folder) / "probe", recipe=recipe, settings=wish, start=options.start)
            play(directory)
            ticks = {r["round"]: r["cpu_seconds"] for r in directory.events() if r["kind"] == "tick"}
        return float(ticks[high] - ticks[low]) / (high - low)

    def before(rounds: int) -> int:
        """Rounds of likelihood in a run of so many."""
        with tempfile.TemporaryDirectory() as folder:
            wish = settings(0, rounds, recipe, options.encoder, options.changed)
            directory, _ = prepare(data, out=Path(folder) / "plan", recipe=recipe, settings=wish, start=options.start)
            return int(directory.run()["game"].get("pretrain", 0))

    first = before(LONG)
    if not first:
        return max(20, round(options.cpu_seconds / seconds()))
    # A round of the game costs many of likelihood, and a short probe has another share of them than the run.
    likely, played = seconds(**{"game.pretrain": str(PROBE[1])}), seconds(**{"game.pretrain": "0"})
    return in_two_parts(options.cpu_seconds, likely, played, before, first)


def in_two_parts(budget: float, likely: float, played: float, before: Callable[[int], int], first: int) -> int:
    """Rounds of a run that takes `budget` seconds: before(rounds) of likelihood, at most `first`, and the rest of the game, at so many seconds each."""
    for _ in range(100):
        rounds = max(20, round(first + (budget - likely * first) / played if likely * first < budget else budget / likely))
        first, last = before(rounds), first
        if first == last:
            return rounds
    raise AssertionError(f"no number of rounds takes {budget:g} seconds at {likely:g} and {played:g} a round")


def own_length(data: Data, recipe: str, encoder: Path | None) -> int:
    """Rounds that a recipe takes of itself: longer, likelihood learns small sets by heart and is no baseline."""
    wish = {key: value for key, value in settings(0, 1, recipe, encoder).items() if key not in ("rounds", "tick", "save_every")}
    with tempfile.TemporaryDirectory() as folder:
        directory, _ = prepare(data, out=Path(folder) / "own", recipe=recipe, settings=wish)
        return int(directory.run()["rounds"])


def one(name: str, path: str, recipe: str, seed: int, options: argparse.Namespace) -> None:
    """Train and score one row, unless its figures are there."""
    label = options.label or recipe
    target = options.results / f"{name}-{label}-{seed}.json"
    if target.is_file():
        return
    path, _, length = path.partition("@") if path.partition("@")[0] in KNOWN else (path, "", "")
    directory, data = RunDirectory(options.out / f"{name}-{label}-{seed}"), Data(path=path, length=int(length) if length else None)
    if not directory.is_run():
        own = own_length(data, recipe, options.encoder) if label in OWN else None
        # What costs most in residual-pretrained comes after its speaker, so a probe of the first rounds says nothing.
        rounds = own if own and recipe != BASE else planned(name, label, data, recipe, options)
        rounds = min(rounds, own or rounds)
        wish = settings(seed, rounds, recipe, options.encoder, options.changed)
        prepare(data, out=directory.path, recipe=recipe, settings=wish, command="benchmarks/text.py", start=options.start)
        directory.write("run.json", {**directory.run(), "planned_rounds": rounds})
    if label == BASE:
        train(directory, 1.1 * options.cpu_seconds)
    else:
        spend(directory, options.cpu_seconds)
    result = figures(directory, name, label, seed, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    for score in result["scores"].values():
        print(score["text"], flush=True)


def figures(directory: RunDirectory, name: str, recipe: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Score a trained row."""
    trained = load(directory.path)
    data_set = open_data(trained.run.data)
    count = min(options.num_samples, len(data_set.held))
    of_known = data_set.card["path"] in KNOWN
    began = time.process_time()
    trained.sample_stored(min(1_000, count), seed=1)
    sampling = min(1_000, count) / (time.process_time() - began)
    asked = OF_KNOWN if of_known else OF_TEXT + OF_CLASSES * bool(trained.space.num_classes)
    scores = trained.evaluate(
        asked, num_samples=count, seed=0, left_out=lambda names, why: print(f"left out {names}: {why}", flush=True)
    )  # fmt: skip
    ticks = [r for r in directory.events() if r["kind"] == "tick"]
    spent = ticks[-1]["cpu_seconds"]
    result = {
        "set": name, "path": Path(data_set.card["path"]).name, "recipe": recipe, "seed": seed, "budget": options.cpu_seconds, "num_samples": count,
        "batch": trained.run.batch, "rounds": trained.round, "planned_rounds": trained.content.get("planned_rounds"), "sentences": trained.seen,
        "cpu_seconds": spent, "sentences_per_cpu_second": trained.seen / spent, "samples_per_cpu_second": sampling,
        "memory_mb": max(t["memory_mb"] for t in ticks), "scores": {s.name: s.to_json() | {"text": str(s)} for s in scores},
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()}, "content_hash": trained.content["content_hash"],
        "torch": torch.__version__, "changed": options.changed, "machine": processor(), "date": datetime.date.today().isoformat(), "commit": commit(),
        "length": trained.run.data.length, "alone": True,
    }  # fmt: skip
    if of_known and recipe == BASE:
        places = known.Ground(data_set).curve(trained, options.known_temperatures, num_samples=count)
        result["known_curve"] = [place.to_json() for place in places]
    elif not of_known:
        result["protocol"] = curve.protocol(data_set, count, 0)
        result["place"] = curve.place_of(trained, num_samples=count, data_set=data_set).to_json()
        result["human"] = curve.human(data_set, count).to_json()
        if recipe == BASE:
            points = curve.curve(trained, options.temperatures, num_samples=count, data_set=data_set)
            result["curve"] = [p.to_json() for p in points if p.temperature is not None]
    return result


def apart(row: dict[str, Any], trained: Trained, encoder: Path) -> None:
    """Add to a row how its samples are told from training sentences in the space of an encoder; of likelihood at several temperatures."""
    data_set = open_data(Data(path=trained.run.data.path))
    found = make_extractor("backbone", data_set, weights=encoder)
    count = row["num_samples"]

    def told(x: Tensor) -> dict[str, Any]:
        parts = iter(x.split(250))
        scores = evaluate(lambda n: next(parts)[:n], data_set, ["c2st", "fd"], extractor=found, num_samples=len(x), seed=0, batch=250)
        return {s.name: s.to_json() | {"text": str(s)} for s in scores}

    row["apart"] = told(trained.sample_stored(count, seed=0))
    if row["recipe"] == BASE:
        row["apart_at"] = [{"temperature": t, **told(trained.say(count, seed=0, temperature=t).stored())} for t in APART]


def apart_all(encoder: Path, out: Path, results: Path, chosen: list[str]) -> None:
    """Add what `apart` finds to every row of sentences that lacks it and whose run is there."""
    for path in [results / f"{name}.json" for name in chosen] or sorted(results.glob("*.json")):
        row, run = json.loads(path.read_text()), RunDirectory(out / path.stem)
        if "place" in row and "apart" not in row and run.is_run():
            apart(row, load(run.path), encoder)
            path.write_text(json.dumps(row, indent=1) + "\n")
            print(path.stem, row["apart"]["c2st"]["text"], flush=True)


# -- the tables -----------------------------------------------------------------------------------------------------------------------


def rows_of(name: str, results: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of a set by recipe, likelihood first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*.json")):
        row = json.loads(path.read_text())
        if row["set"] == name:
            found.setdefault(row["recipe"], []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] != BASE, item[0])))


def where_and_when(found: dict[str, list[dict[str, Any]]]) -> str:
    """The processors that played these rows and the days, e.g. 'AMD EPYC, one thread, 2026-11-22 to 2026-11-23'."""
    rows = list(itertools.chain.from_iterable(found.values()))
    machines, days = sorted({row["machine"] for row in rows}), sorted({row["date"] for row in rows})
    return f"{' and '.join(machines)}, one thread, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def over_seeds(values: list[float | None], form: str = ".3f") -> str:
    """Mean ± sd."""
    there = [v for v in values if v is not None and not math.isnan(v)]
    if not there:
        return "–"
    spread = f" ± {statistics.stdev(there):{form.lstrip('+')}}" if len(there) > 1 and all(map(math.isfinite, there)) else ""
    return f"{statistics.mean(there):{form}}{spread}"


def score(rows: list[dict[str, Any]], name: str, form: str = ".3f") -> str:
    """A score over seeds."""
    return over_seeds([row["scores"][name]["value"] for row in rows if name in row["scores"]], form)


def gap_of(row: dict[str, Any], likely: list[dict[str, Any]]) -> curve.Gap | None:
    """Above the curve of the likelihood row of the same seed and protocol, if it is there."""
    mate = next((r for r in likely if r["seed"] == row["seed"] and r["protocol"] == row["protocol"]), None)
    if mate is None or row["recipe"] == BASE:
        return None
    return curve.gap(curve.Point.from_json(row["place"]), [curve.Point.from_json(p) for p in mate["curve"]])


def played(rows: list[dict[str, Any]]) -> str:
    """Rounds played, of those that the recipe's phases and schedules were made for."""
    return f"{statistics.mean(row['rounds'] for row in rows):,.0f} of {statistics.mean(row['planned_rounds'] for row in rows):,.0f}"


def apart_of(found: list[dict[str, Any]]) -> str:
    """Accuracy of the classifier over seeds."""
    return over_seeds([one["c2st"]["value"] for one in found])


def of_orders(points: list[dict[str, Any]], name: str) -> str:
    """BLEU-2 to 5 over seeds."""
    return " ".join(f"{statistics.mean(p[name][n] for p in points):.3f}" for n in ("2", "3", "4", "5"))


def text_table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of a set of sentences."""
    likely, classed = found.get(BASE, []), any(OF_CLASSES[0] in row["scores"] for rows in found.values() for row in rows)
    lines = [
        "| | seeds | BLEU-2 … 5 | self-BLEU-2 … 5 | unique | NLL-test | LM / reverse LM | FD | told apart | novel sentences "
        "| BLEU-4 above the likelihood curve | rounds of planned | CPU-s | sentences/CPU-s | samples/CPU-s |"
        + " class asked for |"
        * classed,
        "|---" * (15 + classed) + "|",
    ]
    first = next(iter(found.values()))[0]

    def floor(which: str) -> str:
        value = first["scores"].get(which, {}).get("floor")
        return "–" if value is None else f"{value:.3f}"

    human = first["human"]
    real = [curve.gap(curve.Point.from_json(r["human"]), [curve.Point.from_json(p) for p in r["curve"]]) for r in likely]
    above = str(real[0]) if len(real) == 1 else over_seeds([gap.value for gap in real], "+.3f")
    lines.append(
        f"| real sentences | | {of_orders([human], 'bleu')} | {of_orders([human], 'self_bleu')} | {human['unique']:.3f} | – "
        f"| {floor('lm')} / {floor('reverse_lm')} | {floor('fd')} | | {floor('novel_sentences')} "
        f"| {above} | | | | |" + f" {floor(OF_CLASSES[0])} |" * classed
    )
    for recipe, rows in found.items():
        gaps = [gap for row in rows if (gap := gap_of(row, likely)) is not None]
        values = [gap.value for gap in gaps if not gap.why]
        told = "–" if not gaps else str(gaps[0]) if len(gaps) == 1 or not values else over_seeds(values, "+.3f")
        outside = f"; {len(gaps) - len(values)} outside the curve" if values and len(values) < len(gaps) else ""
        speeds = " | ".join(
            f"{statistics.mean(row[key] for row in rows):,.0f}"
            for key in ("cpu_seconds", "sentences_per_cpu_second", "samples_per_cpu_second")
        )
        places, told_apart = [row["place"] for row in rows], apart_of([row["apart"] for row in rows if "apart" in row])
        lines.append(
            f"| {recipe} | {len(rows)} | {of_orders(places, 'bleu')} | {of_orders(places, 'self_bleu')} | {over_seeds([p['unique'] for p in places])} "
            f"| {score(rows, 'nll_test')} | {score(rows, 'lm')} / {score(rows, 'reverse_lm')} | {score(rows, 'fd', '.3g')} | {told_apart} "
            f"| {score(rows, 'novel_sentences')} | {told}{outside} | {played(rows)} | {speeds} |"
            + f" {score(rows, OF_CLASSES[0])} |"
            * classed
        )
    for place in range(len(likely[0]["curve"]) if likely else 0):
        points = [row["curve"][place] for row in likely if len(row["curve"]) > place]
        lines.append(
            f"| likelihood at temperature {points[0]['temperature']:g} | {len(points)} | {of_orders(points, 'bleu')} | {of_orders(points, 'self_bleu')} "
            f"| {over_seeds([p['unique'] for p in points])} | | | "
            f"| {apart_of([one for row in likely for one in row.get('apart_at', []) if one['temperature'] == points[0]['temperature']])} | | | | | | |"
            + (" |" if classed else "")
        )
    return [
        *lines,
        "",
        f"{first['protocol']} · {where_and_when(found)}. Real sentences: training ones, and held-out ones for FD, LM and novelty.",
    ]


def known_table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of a language whose likelihood is known."""
    first = next(iter(found.values()))[0]
    grammar, likely = first["path"] == "arithmetic", found.get(BASE, [])
    at_equal = "grammaticality" if grammar else "NLL-oracle"
    heads = [
        "", "seeds", "NLL-oracle", "NLL-test", "entropy of G", "KL(G‖P)", "KL(P‖G)", "JS, a sentence", "unique", *(["valid"] if grammar else []),
        f"KL(P‖G) above likelihood's curve at equal {at_equal}", "beside likelihood", "rounds of planned", "CPU-s", "sentences/CPU-s",
    ]  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    entropy = f"{first['scores']['nll_oracle']['floor']:.3f}" if first["scores"]["nll_oracle"]["floor"] is not None else "–"
    real_unique = first["scores"]["unique"].get("floor")
    floors = [entropy, entropy, entropy, "0", "0", "0", "–" if real_unique is None else f"{real_unique:.3f}", *(["1"] if grammar else [])]
    lines.append(f"| the {'grammar' if grammar else 'oracle'} itself | | {' | '.join(floors)} | | | | | |")
    names = (
        "nll_oracle",
        "nll_test",
        "generator_entropy",
        "kl_model_oracle",
        "kl_oracle_model",
        "js_oracle",
        "unique",
        *(["valid"] if grammar else []),
    )
    for recipe, rows in found.items():
        speeds = " | ".join(f"{statistics.mean(row[key] for row in rows):,.0f}" for key in ("cpu_seconds", "sentences_per_cpu_second"))
        figures = " | ".join(finite(rows, which) for which in names)
        lines.append(
            f"| {recipe} | {len(rows)} | {figures} | {over_curve(rows, likely)} | {gate(rows, likely)} | {played(rows)} | {speeds} |"
        )
    drawn = [[known.Place.from_json(place) for place in row["known_curve"]] for row in likely if "known_curve" in row]
    for place in drawn[0] if drawn else ():
        told = [other for points in drawn for other in points if other.temperature == place.temperature]
        values = [over_seeds([other.figures[name].value for other in told]).replace("inf", "∞") for name in known.NAMES]
        shares = [over_seeds([p.unique for p in told]), *([over_seeds([p.valid for p in told])] if grammar else [])]
        lines.append(f"| likelihood at temperature {place.temperature:g} | {len(told)} | {' | '.join([*values, '–', *shares])} | | | | | |")
    if first["path"].startswith("oracle") and first.get("length") in (None, 20):
        for who, (nll_oracle, nll_test) in PUBLISHED.items():
            kl = "–" if nll_test is None else f"{nll_test - ENTROPY:.3f}"
            lines.append(
                f"| *{who}* | | {nll_oracle:.3f} | {'–' if nll_test is None else f'{nll_test:.3f}'} | – | – | {kl} | – | – | | | | | |"
            )
        lines += [
            "",
            f"Rows in italics are published, on another draw of the oracle (entropy {ENTROPY}); KL(P‖G) there is NLL-test − {ENTROPY}.",
        ]
    return [*lines, "", f"Nats a token; {first['num_samples']:,} sentences a side · {where_and_when(found)}."]


def finite(rows: list[dict[str, Any]], name: str) -> str:
    """A score over seeds; ∞ where it was infinite, which a kept score tells as null beside a KL(P‖G) that is a number."""
    kept = [row["scores"] for row in rows if name in row["scores"]]
    if name in ("nll_oracle", "kl_model_oracle") and any(
        s[name]["value"] is None and s["kl_oracle_model"]["value"] is not None for s in kept
    ):
        return "∞"
    return score(rows, name)


def pairs(rows: list[dict[str, Any]], likely: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows of a game, each with the likelihood row of the same seed, where that is there."""
    mates = {row["seed"]: row for row in likely}
    return [(row, mates[row["seed"]]) for row in rows if row["seed"] in mates and row["recipe"] != BASE]


def scores_of(row: dict[str, Any]) -> list[Score]:
    """The scores of a row."""
    return [Score.from_json(s) for s in row["scores"].values()]


def over_curve(rows: list[dict[str, Any]], likely: list[dict[str, Any]]) -> str:
    """KL(P‖G) above the curve of the likelihood row of the same seed."""
    gaps = [
        known.above(known.place_of_scores(row["recipe"], scores_of(row)), [known.Place.from_json(p) for p in mate["known_curve"]])
        for row, mate in pairs(rows, likely)
        if "known_curve" in mate and row["scores"]["kl_oracle_model"]["value"] is not None
    ]
    values = [gap.value for gap in gaps if not gap.why]
    return "–" if not gaps else str(gaps[0]) if len(gaps) == 1 or not values else over_seeds(values, "+.3f")


def gate(rows: list[dict[str, Any]], likely: list[dict[str, Any]]) -> str:
    """The verdict beside the likelihood row of the same seed, and of how many seeds where they differ."""
    said = [known.verdict_of(scores_of(row), scores_of(mate)).word for row, mate in pairs(rows, likely)]
    if len(set(said)) < 2:
        return said[0] if said else "–"
    return ", ".join(f"{word} in {said.count(word)} of {len(said)}" for word in dict.fromkeys(said))


def samples(name: str, seed: int, count: int, out: Path) -> None:
    """Print sentences of every row of a set, likelihood first."""
    found = {path.name.split("-", 1)[1].rsplit("-", 1)[0]: path for path in out.glob(f"{name}-*-{seed}")}
    for recipe in sorted(found, key=lambda recipe: (recipe != BASE, recipe)):
        trained = load(found[recipe])
        asked = trained.conditions.ask(count, seed=1) if trained.space.num_classes else None
        of = ["" if asked is None else f"*{trained.space.classes[k]}*: " for k in (range(count) if asked is None else asked.tolist())]
        said = trained.space.decode(trained.sample_stored(count, seed=1))
        print(f"\n## {recipe}\n")
        print("\n".join(f"- {name}{text}" for name, text in zip(of, said, strict=True)), flush=True)


def main() -> None:
    """Run what is missing, or print the tables or samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--set", dest="sets", action="append", required=True, help="NAME=PATH")
    run.add_argument("--recipes", nargs="+", required=True)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--cpu-seconds", type=float, default=600)
    run.add_argument("--num-samples", type=int, default=10_000)
    run.add_argument("--temperatures", type=float, nargs="+", default=list(curve.TEMPERATURES))
    run.add_argument(
        "--known-temperatures", type=float, nargs="+", default=list(known.TEMPERATURES), help="of likelihood on a known language"
    )
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--encoder", type=Path, help="folder of a pretrained encoder, for residual-pretrained")
    run.add_argument("--as", dest="label", help="what the rows are called, where --setting changes the recipe")
    run.add_argument("--setting", action="append", default=[], metavar="game.net=rnn", help="of the recipe, may be repeated")
    run.add_argument("--from", dest="start", type=Path, help="a run whose speaker the rows begin with; its time is not counted")
    between = verbs.add_parser("apart")
    between.add_argument("--encoder", type=Path, required=True)
    between.add_argument("--out", type=Path, required=True)
    between.add_argument("--rows", nargs="+", default=[], help="SET-RECIPE-SEED …; all otherwise")
    for verb in (run, between, verbs.add_parser("table")):
        verb.add_argument("--results", type=Path, default=RESULTS)
    said = verbs.add_parser("samples")
    said.add_argument("--set", dest="name", default="coco")
    said.add_argument("--seed", type=int, default=0)
    said.add_argument("--count", type=int, default=20)
    said.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.verb == "run":
        options.changed = dict(pair.split("=", 1) for pair in options.setting)
        if (options.changed and not options.label) or (options.label and len(options.recipes) != 1):
            parser.error("--as names the rows of one recipe that is changed: with --setting give --as and one of --recipes")
    if options.verb == "run" and "residual-pretrained" in options.recipes and options.encoder is None:
        parser.error("residual-pretrained begins with a pretrained encoder: --encoder FOLDER")
    if options.verb == "samples":
        samples(options.name, options.seed, options.count, options.out)
        return
    torch.set_num_threads(1)
    if options.verb == "apart":
        apart_all(options.encoder, options.out, options.results, options.rows)
        return
    if options.verb == "table":
        for name in sorted({json.loads(path.read_text())["set"] for path in options.results.glob("*.json")}):
            found = rows_of(name, options.results)
            of_known = next(iter(found.values()))[0]["path"] in KNOWN
            print(f"\n### {name}\n")
            print("\n".join(known_table(found) if of_known else text_table(found)))
        return
    recipes = sorted(options.recipes, key=lambda recipe: recipe != BASE)
    sets = [entry.partition("=")[::2] for entry in options.sets]
    rows = itertools.product(options.seeds, recipes, sets)
    each_alone(one, ((*named, recipe, seed, options) for seed, recipe, named in rows))


if __name__ == "__main__":
    main()
