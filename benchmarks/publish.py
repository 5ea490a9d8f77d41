"""The stored results of the benchmarks as rows of src/agon/recipes/scores.json, which ships with the package (`agon recipes`, `agon reproduce`).

    python benchmarks/publish.py
    python tests/test_papers.py

The second command writes the rows into docs/papers. Which score stands for a set: pictures and clips the Fréchet distance; sentences the same, with
what lies above likelihood's curve of BLEU-4 beside it; languages whose likelihood is known KL(P‖G), with KL(G‖P) beside it, as either alone can be
had by a collapsed or by a noisy speaker; translations BLEU, summaries ROUGE-1, of the recipe as it is, with its adversary (UMT's is off), and
beside it the other; points the share that lies on a mode, with the modes that are covered; Stacked MNIST its modes, with the divergence of their shares.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

import clip_runs
import modes
import translation

import text
import zoo
from agon.catalogue import Row, cards, gather, write_rows

SET_OF_PAIRS = {"unpaired": "multi30k", "scitldr-unpaired": "scitldr", "headlines-unpaired": "headlines"}
ENCODER = {"residual-pretrained": " --encoder MINILM"}  # docs/text.md says where it is from
PLAYS_ALONE = {"unpaired": "off"}  # what the recipe does where it is not told
GREY = {modes.STACKED: " --grey MNIST_FOLDER"}
DATA_OF_CLIPS = {"actions": "actions.zip"}  # the others are embedded


def pictures() -> list[Row]:
    """The zoo on a processor; `agon reproduce` repeats no row of a GPU."""
    rows = [
        own(r) | {"seen": r["images"], "seen_per_cpu_second": r["images_per_cpu_second"]} for r in zoo.everything() if "device" not in r
    ]
    beside = {"precision": "precision", "recall": "recall", "class_accuracy": "right class"}
    marks = sorted({zoo.mark(r) for r in rows})  # as in docs/benchmarks.md
    found = [row for mark in marks for row in gather((r for r in rows if zoo.mark(r) == mark), name=f"FD{mark}", beside=beside)]
    return sorted(found, key=lambda row: (row.set, row.score.mean))


def own(row: dict[str, Any]) -> dict[str, Any]:
    """The row, without the peak of memory of a process that played others before."""
    return row if row.get("alone") else row | {"memory_mb": None}


def clips() -> list[Row]:
    """Sets of clips."""
    return gather(map(clip, sorted(clip_runs.RESULTS.glob("*.json"))), beside={"obeys": "obeys", "motion_gap": "motion gap"})


def clip(path: Any) -> dict[str, Any]:
    """A result of clip_runs.py by the names `gather` has."""
    row = json.loads(path.read_text())
    name, recipe = row["bed"], row["recipe"]
    data = f" --data {DATA_OF_CLIPS[name]} --cpu-seconds 480" if name in DATA_OF_CLIPS else ""
    return row | {k: s["value"] for k, s in row["scores"].items()} | {
        "set": name, "floor": row["scores"]["fd"]["floor"], "protocol": row["scores"]["fd"]["text"],
        "seen": row["clips"], "seen_per_cpu_second": row["clips"] / row["cpu_seconds"],
        "command": f"python benchmarks/clip_runs.py run {name} --recipe {recipe}{data} --seed 0 --out runs/clips",
    }  # fmt: skip


def sentences() -> list[Row]:
    """Sets of sentences, and languages whose likelihood is known. Rows of changed recipes, which no name of a recipe stands for, are left out."""
    names, told = {card.name for card in cards()}, []
    for name in sorted({json.loads(path.read_text())["set"] for path in text.RESULTS.glob("*.json")}):
        found = {recipe: rows for recipe, rows in text.rows_of(name, text.RESULTS).items() if recipe in names}
        likely = found.get(text.BASE, [])
        flat = [spoken(row, likely) for rows in found.values() for row in rows]
        if flat[0]["path"] in text.KNOWN:
            kls = [row for row in flat if row.get("kl_oracle_model") is not None]  # a game without a likelihood has none
            told += gather(kls, score="kl_oracle_model", name="KL(P‖G)", beside={"kl_model_oracle": "KL(G‖P)", "valid": "valid"})
        else:
            told += gather(flat, beside={"gap": "BLEU-4 gap", "class_accuracy": "right class"})
    return told


def spoken(row: dict[str, Any], likely: list[dict[str, Any]]) -> dict[str, Any]:
    """A result of text.py by the names `gather` has."""
    where = f"$AGON_DATA/{row['path']}" if row["path"].startswith("text_") else row["path"]
    where += f"@{row['length']}" if row.get("length") else ""
    gap = None if row["path"] in text.KNOWN else text.gap_of(row, likely)
    return own(row) | {k: s["value"] for k, s in row["scores"].items()} | {
        "floor": row["scores"]["fd"]["floor"] if "fd" in row["scores"] else None, "gap": None if gap is None or gap.why else gap.value,
        "seen": row["sentences"], "seen_per_cpu_second": row["sentences_per_cpu_second"],
        "command": f"python benchmarks/text.py run --set {row['set']}={where} --recipes {row['recipe']} --seeds 0 1 2 "
        f"--cpu-seconds {row['budget']:g} --num-samples {row['num_samples']} --out runs/text" + ENCODER.get(row["recipe"], ""),
    }  # fmt: skip


def pairs() -> list[Row]:
    """Translation and summaries. Rows without pairs are told from the others by their recipe."""
    told = []
    for name in translation.SETS:
        score, title = ("BLEU", "BLEU") if name in translation.BILINGUAL else ("rouge1", "ROUGE-1")
        rows, plays = list(rows_of_pairs(name)), PLAYS_ALONE.get(name, "on")
        others = {row["seed"]: row[score] for row in rows if row["adversary"] != plays}
        flat = [pair(row) | {"other": others.get(row["seed"])} for row in rows if row["adversary"] == plays]
        beside = {"other": "without adversary" if plays == "on" else "with adversary"}
        told += gather(flat, score=score, name=title, beside=beside, higher_is_better=True)
    return told


def pair(row: dict[str, Any]) -> dict[str, Any]:
    """A result of translation.py by the names `gather` has."""
    name, seen, spent = row["set"], row["rounds"] * row["batch"], row.get("spent", row["cpu_seconds"])
    return row | {
        "set": SET_OF_PAIRS.get(name, name), "recipe": translation.SETS[name][3], "date": row["time"], "protocol": f"{row['how']}, {row['signature']}",
        "planned_rounds": row["planned"], "seen": seen, "cpu_seconds": spent, "seen_per_cpu_second": seen / spent,
        "command": f"python benchmarks/translation.py run --set {name} --adversary {row['adversary']} --rounds {row['planned']} "
        f"--cpu-seconds {row['cpu_seconds']:g} --seed 0",
    }  # fmt: skip


def rows_of_pairs(name: str) -> Iterator[dict[str, Any]]:
    """The rows of the recipe as it is, of the budget that most of them have."""
    rows = [row for row in translation.rows_in(zoo.RESULTS / "translation.jsonl") if row["set"] == name and not row["settings"]]
    budgets = statistics.multimode(row["cpu_seconds"] for row in rows)
    yield from (row for row in rows if row["cpu_seconds"] == budgets[0])


def covered() -> list[Row]:
    """Sets whose modes can be counted: points in the plane, and Stacked MNIST."""
    rows = [own(json.loads(path.read_text())) for path in sorted(modes.RESULTS.glob("*.json"))]
    told = [row | {"command": f"python benchmarks/modes.py --sets {row['set']}{GREY.get(row['set'], '')}"} for row in rows]
    plane, stacks = ([row for row in told if (row["set"] == modes.STACKED) == stacked] for stacked in (False, True))
    return [
        *gather(plane, score="quality", name="quality", beside={"modes": "modes"}, higher_is_better=True),
        *gather(stacks, score="modes", name="modes", beside={"kl": "KL"}, higher_is_better=True),
    ]


def gathered() -> list[Row]:
    """Every row."""
    return [*pictures(), *clips(), *sentences(), *pairs(), *covered()]


if __name__ == "__main__":
    rows = gathered()
    print(write_rows(rows), f"({len(rows)} rows); now: python tests/test_papers.py")
