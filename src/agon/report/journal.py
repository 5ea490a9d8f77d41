"""A run directory read back: settings, data card, events, scores, in shapes that readers can trust.

Files may be missing, partial or foreign (a run still going, a torn line, a hand-edited number), so nothing here raises on
what it finds; what could not be read is said in `notes`. Needs neither torch nor Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from agon.records import read_jsonl
from agon.report.markup import finite, moment_text, setting_text

# name -> (long name, what it says); direction comes with each score.
SCORES = {
    "fd": ("Fréchet distance", "distance of feature means and covariances"),
    "kid": ("Kernel distance", "squared maximum mean discrepancy of features"),
    "c2st": ("Told apart", "how often a classifier tells samples from real ones; 0.5 is not at all"),
    "is": ("Inception-type score", "sharp and varied class predictions"),
    "precision": ("Precision", "share of samples that lie among the real ones"),
    "recall": ("Recall", "share of real ones that lie among the samples"),
    "density": ("Density", "how densely samples sit where real ones are"),
    "coverage": ("Coverage", "share of real ones with a sample near"),
    "classes": ("Classes present", "classes of the labelled set that got samples"),
    "modes": ("Modes covered", "modes of the toy set that got samples"),
    "quality": ("High-quality share", "share of samples close to a mode"),
    "fd_inf": ("Fréchet distance at infinity", "Fréchet distance extrapolated to infinitely many samples"),
    "class_accuracy": ("Class accuracy", "share of samples that a classifier puts in the class asked for"),
    "tag_accuracy": ("Tag accuracy", "how rightly tags or words asked for can be read from samples, the mean over tags; 0.5 is chance"),
    "number_error": (
        "Number error",
        "distance of numbers read from samples to those asked for, in sd of the training set; 0.8 to 1.13 is chance",
    ),
    "class_fd": ("Class-wise Fréchet distance", "mean over classes of the distance within each"),
    "class_coverage": ("Class-wise coverage", "mean over classes of the coverage within each"),
    "leak": ("Augmentation leak", "0: samples look like real pictures, 1: like the augmented ones the critic saw; of the worst transform"),
    "authenticity": ("Authenticity", "share of samples that are no nearer to a training picture than its fellows"),
    "copies": ("Copies", "share of samples nearer to a training picture than 99 % of held-out ones"),
    "copying": ("Copying test", "below 0: samples nearer to the training set than held-out pictures"),
    "stacked_modes": ("Stacked modes", "triples of classes that got samples"),
    "stacked_kl": ("Stacked KL", "divergence of the samples' triples from the data's"),
    "ppl": ("Perceptual path length", "change of the picture for a small step in the latents"),
    "fvd": ("Fréchet video distance", "Fréchet distance over I3D's logits"),
    "obeys": ("Obeys", "share of clips that are what was asked for, read from the pixels"),
    "formed": ("Well formed", "share of clips whose shape, colour, size and direction can be read"),
    "scenes": ("Scenes", "combinations of shape, colour, size and direction reached, of 112"),
    "scenes_kl": ("Scenes, divergence", "of the shares of combinations from those of the data, nats"),
    "content_distance": ("Content distance", "mean distance between what two frames of a clip hold; compare with real clips"),
    "motion_energy": ("Motion energy", "mean change from frame to frame; compare with real clips"),
    "motion_gap": ("Motion gap", "distance between the motion energies of samples and of real clips"),
    "flicker": ("Flicker", "mean second difference in time; compare with real clips"),
    "temporal_consistency": ("Temporal consistency", "how much of a frame is made of pieces of the one before"),
    "nearest_clip": ("Nearest clip", "median difference to the nearest training clip; compare with real clips"),
    "clip_copies": ("Copied clips", "share of samples nearer to a training clip than 99 % of held-out ones"),
    **{f"bleu{n}": (f"BLEU-{n}", f"runs of up to {n} words shared with held-out sentences; says nothing of variety") for n in (2, 3, 4, 5)},
    **{
        f"self_bleu{n}": (f"Self-BLEU-{n}", f"runs of up to {n} words shared with other samples; compare with real text")
        for n in (2, 3, 4, 5)
    },
    "unique": ("Different sentences", "share of samples that are not said twice"),
    **{f"distinct{n}": (f"Distinct-{n}", f"different runs of {n} words over all; compare with real text") for n in (1, 2, 3)},
    "unigram_entropy": ("Entropy of words", "of the frequencies of words, nats; compare with real text"),
    **{
        f"novel{n}": (f"Novel {n}-grams", f"share of runs of {n} words that the training text lacks; compare with real text")
        for n in (2, 3, 4, 5)
    },
    "novel_sentences": ("Novel sentences", "share of samples that are no training sentence"),
    "nearest_sentence": ("Nearest sentence", "mean edit distance to the nearest training sentence; compare with real text"),
    "nll_test": ("NLL on held-out text", "nats a token under the generator"),
    "perplexity": ("Perplexity", "on held-out text, under the generator"),
    "generator_entropy": ("Generator's entropy", "nats a token of what it says itself"),
    "lm": ("LM score", "nats a token of samples under a model of the training text; says nothing of variety"),
    "reverse_lm": ("Reverse LM score", "nats a token of held-out text under a model of the samples"),
    "nll_oracle": ("NLL-oracle", "nats a token of samples under the oracle; says nothing of coverage"),
    "kl_model_oracle": ("KL(G‖P)", "nats a token: what is said, the oracle could have said"),
    "kl_oracle_model": ("KL(P‖G)", "nats a token: what the oracle says, could have been said"),
    "js_oracle": ("Jensen–Shannon", "from the oracle, nats a sentence, at most 0.69"),
    "valid": ("Grammatical", "share of samples that the grammar can say"),
    "corpus_bleu": ("BLEU", "runs of up to four words shared with the held-out target of the same source; of 100"),
    "chrf": ("chrF", "letters in runs of up to six shared with the held-out target of the same source; of 100"),
    **{f"rouge{n}": (f"ROUGE-{n}", "words shared with the held-out target of the same source; of 100") for n in (1, 2, "L")},
    "round_trip": (
        "Round trip",
        "BLEU of what comes back of sentences put into the other language and back; says nothing of what was said there",
    ),
}


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def whole(value: Any) -> int:
    """`value` as a whole number, 0 if it is none."""
    return int(finite(value) or 0)


@dataclass
class Scores:
    """All scores of one name under one protocol, by round."""

    name: str
    protocol: str
    higher: bool
    rows: list[
        dict[str, Any]
    ]  # at least one; each: round, seen, seconds, value, floor, floor_samples (None: as many), note, by_class, by_tag, by_number, sight

    @property
    def last(self) -> dict[str, Any]:
        """The row of the latest round."""
        return self.rows[-1]

    @property
    def best(self) -> dict[str, Any]:
        """The first row with the best value."""
        return (max if self.higher else min)(self.rows, key=lambda row: row["value"])

    @property
    def title(self) -> str:
        """The name in words."""
        return SCORES.get(self.name, (self.name, ""))[0]


@dataclass
class Journal:
    """What a run directory says."""

    path: Path
    run: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def signs(self) -> dict[str, list[dict[str, Any]]]:
        """Health signs by name, each with every event that fired it."""
        fired: dict[str, list[dict[str, Any]]] = {}
        for row in self.events:
            if row.get("kind") == "health":
                fired.setdefault(str(row.get("sign", "unnamed sign")), []).append(row)
        return fired


def read_journal(path: Path) -> Journal:
    """Read run.json, data.json, events.jsonl and metrics.jsonl of the run at `path`; says in `notes` what could not be read."""
    journal = Journal(path)
    for name in ("run", "data"):
        source = path / f"{name}.json"
        try:
            content = json.loads(source.read_bytes())
        except FileNotFoundError:
            journal.notes.append(f"{name}.json is not there.")
            continue
        except (OSError, ValueError, RecursionError) as error:
            journal.notes.append(f"{name}.json could not be read: {error}")
            continue
        if not isinstance(content, dict):
            journal.notes.append(f"{name}.json could not be read: it holds no JSON object.")
        elif name == "run":
            journal.run = content
        else:
            journal.card = content
    rows = {}
    for name in ("events", "metrics"):
        try:
            rows[name] = read_jsonl(path / f"{name}.jsonl")
        except OSError as error:
            rows[name] = []
            journal.notes.append(f"{name}.jsonl could not be read: {error}")
    journal.events = rows["events"]
    for row in journal.events:
        if row.get("kind") == "tick" and finite(row.get("round")) is not None:
            # After a rollback or a resume the same rounds are told again: the later telling holds.
            while journal.ticks and whole(journal.ticks[-1]["round"]) >= whole(row["round"]):
                journal.ticks.pop()
            journal.ticks.append(row)
    journal.scores = _scores(rows["metrics"])
    return journal


def _scores(rows: Iterable[Mapping[str, Any]]) -> list[Scores]:
    """Group by name and protocol (unlike protocols never share a line), one row a round, the latest telling."""
    groups: dict[tuple[str, str, bool], dict[int, dict[str, Any]]] = {}
    stamps: dict[str, str] = {}
    for row in rows:
        value = finite(row.get("value"))
        if value is None:
            continue
        protocol, round = row.get("protocol"), whole(row.get("round"))
        # The note follows from the extractor and takes no part in the comparison; the metric's name is the row's own.
        told = {key: item for key, item in protocol.items() if key not in ("note", "metric")} if isinstance(protocol, dict) else protocol
        of_floor = finite(row.get("floor_samples"))
        sampling = mapping(row.get("sampling"))  # a figure of other sampling than the run's own is another line
        mark = json.dumps([told, sampling], sort_keys=True)
        stamps[mark] = " · ".join([stamp_text(protocol), *(f"sampling {key} {item}" for key, item in sampling.items())])
        groups.setdefault((str(row.get("name", "?")), mark, row.get("higher_is_better") is True), {})[round] = {
            "round": round, "seen": whole(row.get("seen")), "seconds": finite(row.get("seconds")) or 0.0, "value": value,
            "cpu_seconds": finite(row.get("cpu_seconds")), "floor": finite(row.get("floor")),
            "low": finite(row.get("low")), "high": finite(row.get("high")),
            "floor_samples": of_floor if of_floor != mapping(protocol).get("num_samples") else None,
            "note": setting_text(row.get("note") or ""),
            **{by: mapping(mapping(row.get("extra")).get(by)) for by in ("by_class", "by_tag", "by_number")}, "sight": setting_text(row.get("sight") or ""),
        }  # fmt: skip
    order = list(SCORES)
    made = [Scores(name, stamps[mark], up, [rows[at] for at in sorted(rows)]) for (name, mark, up), rows in groups.items()]
    return sorted(made, key=lambda scores: order.index(scores.name) if scores.name in order else len(order))


def stamp_text(protocol: Any) -> str:
    """A protocol as one line: "classifier a13c9d02be77 · resize none · reference train 5be1f0c2 · N=10000 · seed 0 · ema · version 1"."""
    if not isinstance(protocol, dict):
        return "" if protocol is None else setting_text(protocol)
    parts = []
    for key, value in protocol.items():
        if value in (None, "") or key == "metric" or (key.endswith("_hash") and key[:-5] in protocol):
            continue
        before = {"num_samples": "N=", "extractor": "", "weights": "", "settings": "", "note": ""}.get(key, f"{key.replace('_', ' ')} ")
        parts.append(f"{before}{setting_text(value)} {setting_text(protocol.get(f'{key}_hash') or '')}".strip())
    return " · ".join(parts)


def state(journal: Journal, now: float) -> tuple[str, str]:
    """(word, sentence): finished, stopped, running, interrupted or not started."""
    turning = [row for row in journal.events if row.get("kind") in ("start", "resume", "stop", "done")]
    if not journal.events:
        return "not started", "No event has been written yet."
    kind = turning[-1]["kind"] if turning else "start"
    last = finite(journal.events[-1].get("time")) or 0.0
    if kind in ("stop", "done"):
        return ("finished" if kind == "done" else "stopped"), f"Last event {moment_text(last)} UTC."
    times = [t for row in journal.ticks[-20:] if (t := finite(row.get("time")))]
    gaps = sorted(b - a for a, b in pairwise(times))
    quiet = max(600.0, 10 * gaps[len(gaps) // 2] if gaps else 0.0)
    if now - last > quiet:
        return "interrupted", f"No word since {moment_text(last)} UTC, and the run did not say that it stopped."
    return "running", f"Last event {moment_text(last)} UTC; this page shows the run as it was then."
