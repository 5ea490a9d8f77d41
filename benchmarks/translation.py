"""Translation and summaries: the adversary on and off at equal processor time, beside copying, word for word, and the first sentence.

    python benchmarks/translation.py run --set multi30k --adversary on --cpu-seconds 1200 --seed 0
    python benchmarks/translation.py table
    python benchmarks/translation.py samples --set multi30k

The sets are folders of AGON_DATA: multi30k_en_de (train, val and test_2016_flickr as .en.gz and .de.gz) and scitldr (train, dev and test as .jsonl.gz); and
the embedded headlines, whose held-out reports are the test and whose optimum is ROUGE 100. "unpaired" is multi30k with the English of one half of the training
pairs, drawn with seed 0, and the German of the other half, so that no sentence's translation is there; its adversary is the critic of languages.
"scitldr-unpaired" and "headlines-unpaired" have the documents of one half and the summaries of the other; their adversary is the critic of summaries with the
reconstructor.
A run trains on the training pairs for that many CPU-seconds and is scored on the test file alone, its texts found by a beam of 4: BLEU and chrF with
sacreBLEU's signature, ROUGE with stemming. Rows go to --out, by default benchmarks/results/translation.jsonl; `table` prints them by setting, with the
spread over seeds. The number of rounds, on which the learning rate's fall depends, is chosen from --pace, pairs a CPU-second.

All that was made of the test file is kept beside the rows, a line each, in a folder called as --out without its suffix. From it `table` has the difference
of adversary on and off at equal seed with the interval of a paired bootstrap over sentences (`paired.py`), and `samples` prints the first twenty of the test
file, not chosen, as Markdown: "source → made | real". Sources and real texts are read from AGON_DATA when it prints and are kept nowhere; --bare prints
what was made alone. The first rows kept five texts only: play them again for either.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paired import differences

SETS = {
    "multi30k": ("multi30k_en_de", "en", "de", "translation"),
    "unpaired": ("multi30k_en_de", "en", "de", "translation-unpaired"),
    "scitldr": ("scitldr", "source", "target", "summary"),
    "scitldr-unpaired": ("scitldr", "source", "target", "summary-unpaired"),
    "headlines": ("", None, None, "summary"),
    "headlines-unpaired": ("", None, None, "summary-unpaired"),
}
APART = ("unpaired", "scitldr-unpaired", "headlines-unpaired")
BILINGUAL = ("multi30k", "unpaired")
# Pairs a CPU-second of one core, over the whole plan of a recipe; a guess is enough: too high, and time is over before the plan is.
PACE = {
    ("multi30k", "on"): 130.0,
    ("multi30k", "off"): 160.0,
    ("unpaired", "on"): 32.0,
    ("unpaired", "off"): 36.0,
    ("scitldr", "on"): 22.0,
    ("scitldr", "off"): 32.0,
    ("scitldr-unpaired", "on"): 14.0,
    ("scitldr-unpaired", "off"): 40.0,
    ("headlines", "on"): 110.0,
    ("headlines", "off"): 140.0,
    ("headlines-unpaired", "on"): 75.0,
    ("headlines-unpaired", "off"): 200.0,
}
BEAM = 4
SHOWN = 20


def lines(path: Path) -> list[str]:
    """Lines of a gzipped file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def read_pairs(folder: Path, name: str, part: str) -> tuple[list[str], list[str]]:
    """(sources, targets) of "train", "dev" (not of headlines) or "test", a line each."""
    if name.startswith("headlines"):
        from agon.data.headlines import headlines

        corpus = headlines()
        pairs = [
            (a, b) for a, b, held in zip(corpus.sources or [], corpus.texts, corpus.held or [], strict=True) if held == (part == "test")
        ]
        return [a for a, _ in pairs], [b for _, b in pairs]
    if name in BILINGUAL:
        stem = {"train": "train", "dev": "val", "test": "test_2016_flickr"}[part]
        return lines(folder / f"{stem}.en.gz"), lines(folder / f"{stem}.de.gz")
    rows = [json.loads(line) for line in lines(folder / f"{part}.jsonl.gz")]
    return [" ".join(" ".join(row["source"]).split()) for row in rows], [" ".join(row["target"][0].split()) for row in rows]


def unpaired(folder: Path, name: str, into: Path) -> Path:
    """Write the sources of one half of the training pairs and the targets of the other, and the validation pairs."""
    _, source, target, _ = SETS[name]
    sources, targets = read_pairs(folder, name, "train")
    order = list(range(len(sources)))
    random.Random(0).shuffle(order)
    half = len(order) // 2
    sides = {f"train.{source}": [sources[k] for k in order[:half]], f"train.{target}": [targets[k] for k in order[half:]]}
    sides |= dict(zip((f"val.{source}", f"val.{target}"), read_pairs(folder, name, "dev"), strict=True))
    into.mkdir(parents=True, exist_ok=True)
    for file, side in sides.items():
        (into / file).write_text("".join(line + "\n" for line in side), "utf-8")
    return into


def word_for_word(sources: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """For each word of the sources the word of the targets that goes with it most (Dice coefficient of their sentences)."""
    words = re.compile(r"\w+")
    together: dict[str, Counter[str]] = defaultdict(Counter)
    here, there = Counter[str](), Counter[str]()
    for source, target in zip(sources, targets, strict=True):
        a, b = set(words.findall(source.lower())), set(words.findall(target))
        here.update(a)
        there.update(b)
        for word in a:
            together[word].update(b)

    def closest(word: str, found: Counter[str]) -> str:
        return max(found, key=lambda other: (2 * found[other] / (here[word] + there[other]), other))  # of equals always the same one

    return {word: closest(word, found) for word, found in together.items() if found}


def put(text: str, words: dict[str, str]) -> str:
    """A text word for word; what is unknown stays."""
    return re.sub(r"\w+", lambda found: words.get(found.group().lower(), found.group()), text)


def scores(made: Sequence[str], targets: Sequence[str], name: str) -> dict[str, Any]:
    """BLEU, its 95 % interval and signature, chrF; or ROUGE-1, -2 and -L."""
    if name in BILINGUAL:
        from sacrebleu.metrics import BLEU, CHRF

        bleu, chrf = BLEU(), CHRF()
        found: Any = bleu.corpus_score(list(made), [list(targets)], n_bootstrap=1000)
        return {
            "BLEU": found.score, "interval": found._ci, "chrF": chrf.corpus_score(list(made), [list(targets)]).score, "signature": str(bleu.get_signature()),
        }  # fmt: skip
    from agon.metrics.rouge import NAMES, rouge

    return dict(zip(NAMES, rouge(made, [(target,) for target in targets]).mean(0).tolist(), strict=True)) | {
        "signature": "rouge_score F1, stemmed"
    }


def baselines(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """What needs no training."""
    sources, targets = read_pairs(folder, name, "test")
    found = {"copy": scores(sources, targets, name)}
    if name in BILINGUAL:
        words = word_for_word(*read_pairs(folder, name, "train"))
        found["word for word"] = scores([put(text, words) for text in sources], targets, name)
    else:
        from agon.metrics.rouge import lead

        found["lead"] = scores([lead(text) for text in sources], targets, name)
    return found


def place_of(name: str) -> Path:
    """Where a set lies, or its name if it is embedded."""
    if not SETS[name][0]:
        return Path("headlines")
    if "AGON_DATA" not in os.environ:
        raise SystemExit(f"AGON_DATA is not set; expected the folder that holds {SETS[name][0]}.")
    return Path(os.environ["AGON_DATA"]) / SETS[name][0]


def made_file(row: dict[str, Any], out: Path) -> Path:
    """Where the texts made by a row are kept."""
    changed = "".join("-" + re.sub(r"[^A-Za-z0-9.]+", "_", pair) for pair in row["settings"])
    return out.with_suffix("") / f"{row['set']}-{row['adversary']}-{row['cpu_seconds']:g}-{row['seed']}{changed}.txt"


def made_by(row: dict[str, Any], out: Path) -> list[str] | None:
    """All that a row made of the test file, in its order; None where it was not kept."""
    path = made_file(row, out)
    return path.read_text("utf-8").split("\n")[:-1] if path.is_file() else None


def run(choice: argparse.Namespace) -> dict[str, Any]:
    """Train, translate the test file, score."""
    import torch

    from agon.data import Data
    from agon.reproduce import commit, processor
    from agon.run import play, prepare
    from agon.trained import load

    torch.set_num_threads(1)
    _, source, target, recipe = SETS[choice.set]
    folder = place_of(choice.set)
    pace = choice.pace or PACE[choice.set, choice.adversary]
    batch = choice.batch or (16 if recipe.startswith("summary") else 64)
    rounds = choice.rounds or max(20, round(choice.cpu_seconds * pace / batch))
    settings: dict[str, Any] = {
        "rounds": rounds, "batch": batch, "seed": choice.seed, "device": "cpu", "game.adversary": choice.adversary == "on", "metrics": [],
        **dict(pair.split("=", 1) for pair in choice.setting),
    }  # fmt: skip
    out = choice.run or Path(tempfile.mkdtemp(prefix="agon-translation-")) / "run"
    path = unpaired(folder, choice.set, out.with_name(out.name + "-data")) if choice.set in APART and SETS[choice.set][0] else folder
    data = Data(path=str(path), source=source, target=target, unpaired=choice.set in APART)
    directory, data_set = prepare(data, out=out, recipe=recipe, settings=settings)
    outcome = play(directory, data_set, cpu_budget=choice.cpu_seconds)
    trained = load(out)
    sources, targets = read_pairs(folder, choice.set, "test")
    spent = [event for event in directory.events() if event["kind"] == "tick"][-1]["cpu_seconds"]
    row = {
        "set": choice.set, "adversary": choice.adversary, "seed": choice.seed, "cpu_seconds": choice.cpu_seconds, "spent": spent,
        "rounds": outcome.round, "planned": rounds, "batch": batch, "settings": choice.setting, "time": time.strftime("%Y-%m-%d"), "machine": processor(),
        "torch": torch.__version__, "commit": commit(), "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in trained.players.items()},
    }  # fmt: skip
    sources, targets = sources[: choice.limit], targets[: choice.limit]
    made = list(trained.apply(sources, beam=BEAM))
    row |= {"how": f"beam {BEAM}", "examples": made[:SHOWN], **scores(made, targets, choice.set)}
    kept = made_file(row, choice.out)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("".join(" ".join(text.split()) + "\n" for text in made), "utf-8")
    if choice.set == "unpaired":
        row["by dictionary"] = scores(trained.space.word_for_word(sources), targets, choice.set)
    elif choice.set not in APART and choice.adversary == "on":
        chosen = list(trained.apply(sources, beam=BEAM, rerank=True))
        row["reranked"] = scores(chosen, targets, choice.set)
    return row


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Every row there is; of one that was played again the last."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return list({(r["set"], r["adversary"], r["seed"], r["cpu_seconds"], tuple(r["settings"])): r for r in rows}.values())


def compared(rows: Sequence[dict[str, Any]], name: str, out: Path) -> list[str]:
    """Lines of a table: adversary on minus off by seed, where both kept what they made; what was set for "on" alone stands beside it."""
    lines = []
    for row in rows:
        off = next((
            r for settings in (row["settings"], []) for r in rows
            if r["adversary"] == "off" and (r["seed"], r["cpu_seconds"], r["settings"]) == (row["seed"], row["cpu_seconds"], settings)
        ), None)  # fmt: skip
        if row["adversary"] != "on" or off is None:
            continue
        both = made_by(row, out), made_by(off, out)
        if both[0] is None or both[1] is None:
            continue
        targets = read_pairs(place_of(name), name, "test")[1][: len(both[0])]
        found = differences(*both, targets, "translation" if name in BILINGUAL else "summary")
        told = [f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" for value, low, high in found.values()]
        changed = " ".join(row["settings"])
        lines.append(f"| on − off {changed} paired, seed {row['seed']} | 1 | {row['cpu_seconds']:g} | " + " | ".join(told) + " |")
    return lines


def samples(path: Path, name: str, seed: int, bare: bool) -> None:
    """Print the first SHOWN of the test file with what each row of a set and seed made of them."""
    sources, targets = read_pairs(place_of(name), name, "test")
    for row in rows_in(path):
        if (row["set"], row["seed"]) != (name, seed):
            continue
        made = made_by(row, path)
        if made is None:
            print(f"adversary {row['adversary']}: its texts were not kept; play it again", file=sys.stderr)
            continue
        print(
            f"\n## {name}, adversary {row['adversary']} {' '.join(row['settings'])}".rstrip()
            + f", seed {seed}, {row['cpu_seconds']:g} CPU-s\n"
        )
        for source, text, real in list(zip(sources, made, targets, strict=False))[:SHOWN]:
            print(f"- {text}" if bare else f"- {source} → **{text}** | {real}")


def table(path: Path) -> None:
    """Every setting's mean and spread over seeds, behind the baselines, and what the adversary adds."""
    rows = rows_in(path)
    for name, (place, *_) in SETS.items():
        if place and not ("AGON_DATA" in os.environ and place_of(name).is_dir()):
            continue
        keys = ("BLEU", "chrF") if name in BILINGUAL else ("rouge1", "rouge2", "rougeL")
        print(f"\n{name}\n\n| | seeds | CPU-s | " + " | ".join(keys) + " |\n|---|---|---|" + "---|" * len(keys))
        for label, found in baselines(place_of(name), name).items():
            print(f"| {label} | | | " + " | ".join(f"{found[key]:.2f}" for key in keys) + " |")
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            if row["set"] == name:
                groups[row["adversary"], row["cpu_seconds"], tuple(row["settings"])].append(row)
                for more in ("reranked", "by dictionary"):
                    if more in row:
                        groups[f"{row['adversary']}, {more}", row["cpu_seconds"], tuple(row["settings"])].append({**row, **row[more]})
        for (adversary, seconds, changed), found_rows in sorted(groups.items(), key=str):
            values = [[row[key] for row in found_rows] for key in keys]
            told = [f"{statistics.mean(v):.2f}" + (f" ± {statistics.stdev(v):.2f}" if len(v) > 1 else "") for v in values]
            if "interval" in found_rows[0] and len(found_rows) == 1:
                told[0] += f" (bootstrap ± {found_rows[0]['interval']:.2f})"
            spent = statistics.mean(row.get("spent", seconds) for row in found_rows)
            print(f"| adversary {adversary} {' '.join(changed)} | {len(found_rows)} | {spent:.0f} | " + " | ".join(told) + " |")
        for line in compared([row for row in rows if row["set"] == name], name, path):
            print(line)
        if groups:
            print(f"\n{next(iter(groups.values()))[0]['signature']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--set", choices=SETS, required=True)
    one.add_argument("--adversary", choices=("on", "off"), default="on")
    one.add_argument("--cpu-seconds", type=float, default=1200)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--pace", type=float, help="pairs a CPU-second that the plan counts on")
    one.add_argument("--rounds", type=int)
    one.add_argument("--batch", type=int)
    one.add_argument("--limit", type=int, help="test pairs that are scored; default all")
    one.add_argument("--setting", action="append", default=[], metavar="game.share=0.5", help="of the run, may be repeated")
    one.add_argument("--run", type=Path, help="where the run is kept")
    said = verbs.add_parser("samples")
    said.add_argument("--set", choices=SETS, required=True)
    said.add_argument("--seed", type=int, default=0)
    said.add_argument("--bare", action="store_true", help="without sources and real texts, which are the data set's")
    for verb in (one, said, verbs.add_parser("table")):
        verb.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "translation.jsonl")
    choice = parser.parse_args()
    if choice.verb == "table":
        table(choice.out)
        return
    if choice.verb == "samples":
        samples(choice.out, choice.set, choice.seed, choice.bare)
        return
    row = run(choice)
    with open(choice.out, "a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(json.dumps(row, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
