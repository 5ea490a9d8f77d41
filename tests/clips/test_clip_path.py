"""Every verb on a run of clips: trained, drawn, shown, reported, exported; or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from commandline import printed


def test_tick_pictures(run: Path) -> None:
    with Image.open(run / "samples" / "00000008.png") as sheet:
        assert sheet.size == (8 * 66 - 2, 8 * 66 - 2)  # 8 clips of 8 frames, enlarged to 64 pixels
    with Image.open(run / "samples" / "00000008.webp") as film:
        assert film.n_frames == 8
        assert film.size == (4 * 66 - 2, 2 * 66 - 2)
    assert (run / "samples" / "real.webp").is_file()


def test_onnx(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    import onnxruntime

    status, said = printed(capsys, "export", run, "--onnx")
    assert status == 0, said
    session = onnxruntime.InferenceSession(str(run / "export" / "generator.onnx"))
    assert {i.name: i.shape[1:] for i in session.get_inputs()} == {"z": [8], "e": [8, 6], "y": []}
