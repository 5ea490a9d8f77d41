"""`agon demo`: the main job on embedded data, everything it makes shown."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from agon.data import Data
from agon.directory import RunDirectory
from agon.errors import InputError
from agon.progress import Terminal
from agon.report import write_report
from agon.run import play, prepare
from agon.trained import load


def demonstrate(out: Path, console: Console) -> None:
    """Train R3GAN on scikit-learn's digits, then write samples, a walk and the report; print where everything lies."""

    def line(name: str, text: str) -> None:
        console.print(f"[bold]{escape(name):>10}[/]  {escape(text)}", highlight=False, soft_wrap=True)

    began = time.monotonic()
    directory = RunDirectory(out)
    if directory.is_run() and directory.run().get("command") != "agon demo":
        raise InputError(f"'{out}' holds a run that is not the demo's; choose another --out.")
    if directory.is_run():
        shutil.rmtree(directory.path)
    directory, data_set = prepare(Data(path="digits"), out=out, command="agon demo", say=line)
    with Terminal(console, directory.run()["rounds"]) as terminal:
        play(directory, data_set, show=terminal)
    run = load(out)
    run.sample(100, seed=1).save(out / "samples.png", columns=10)
    run.walk(6, frames=12, seed=1).save(out / "walk.gif")
    write_report(out)
    line("grid", str(out / "samples.png"))
    line("walk", str(out / "walk.gif"))
    line("animation", str(out / "samples" / "progress.gif"))
    line("report", f"{out / 'report.html'}   (open it in a browser)")
    line(
        "done",
        f"in {time.monotonic() - began:.0f} s. Your own pictures: agon train ./photos   ·   more samples: agon sample {shlex.quote(str(out))}",
    )
