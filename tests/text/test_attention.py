"""Where a translator looked: shares of every source token at every token said, in a file and on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agon.nearby import ATTENTION, look
from agon.networks.text.recurrent import Recurrent
from agon.networks.text.transformer import Transformer
from agon.report.attention import attention_section
from agon.spaces import Tokens

SOURCE = Tokens(length=6, vocabulary=9)
SPACE = Tokens(length=5, vocabulary=8, source=SOURCE)
NETS = {
    "rnn": Recurrent(width=8, embed=4),
    "gru": Recurrent(width=8, embed=4, cell="gru"),
    "transformer": Transformer(width=8, heads=2, layers=2),
}


@pytest.mark.parametrize("name", NETS)
def test_shares_sum_to_one_over_what_the_source_has(name: str) -> None:
    torch.manual_seed(0)
    module = NETS[name].speaker(SPACE).eval()
    said, source = torch.tensor([[3, 4, 1, 0, 0], [5, 6, 7, 3, 1]]), torch.tensor([[3, 4, 5, 6, 1, 0], [3, 1, 0, 0, 0, 0]])
    shares = module.looks(said, source)
    assert shares.shape == (2, 5, 5), "as far as the longest source"
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 5))
    assert shares[1, :, 2:].abs().max() == 0, "padding is not looked at"
    later = module.looks(torch.tensor([[3, 4, 6, 6, 6], [5, 6, 7, 3, 1]]), source)
    torch.testing.assert_close(later[0, :3], shares[0, :3], msg="what is said later does not matter")


@pytest.mark.parametrize("name", ["rnn", "transformer"])
def test_what_is_looked_at_is_what_counts(name: str) -> None:
    """A speaker made to look at one place alone gives the same features whatever stands elsewhere."""
    torch.manual_seed(0)
    module = NETS[name].speaker(SPACE).eval()
    said, source = torch.tensor([[3, 4, 1, 0, 0]]), torch.tensor([[3, 1, 0, 0, 0, 0]])
    shares = module.looks(said, source)
    # The same shares by the definition, from the features that the network itself mixes.
    if name == "rnn":
        _, kept, memory = module.begin(1, source)
        h, _ = module.rnn(
            module._told(module.embed(torch.tensor([[0, 3, 4, 1, 0]])), module._label(1, None)), tuple(s.transpose(0, 1) for s in kept)
        )
        expected = (h @ memory[1].transpose(1, 2) * 8**-0.5).softmax(2)
        torch.testing.assert_close(shares, expected)
    assert shares.shape[2] == 2


def test_pairs_are_written_and_drawn(tmp_path: Path) -> None:
    module = NETS["transformer"].speaker(SPACE).eval()
    said, source = torch.tensor([[3, 4, 1, 0, 0]] * 6), torch.tensor([[3, 4, 5, 1, 0, 0]] * 6)
    look(module, SPACE, tmp_path, 7, said, source)
    told = json.loads((tmp_path / ATTENTION).read_text())
    assert told["round"] == 7
    assert len(told["pairs"]) == 4
    pair = told["pairs"][0]
    assert (len(pair["said"]), len(pair["source"])) == (2, 3)
    assert [len(row) for row in pair["looks"]] == [3, 3]
    page = str(attention_section(tmp_path))
    assert page.count("<table") == 4
    assert "--seen:" in page


def test_nothing_is_written_without_a_source(tmp_path: Path) -> None:
    space = replace(SPACE, source=None)
    look(Recurrent(width=8, embed=4).speaker(space), space, tmp_path, 1, torch.tensor([[3, 1, 0, 0, 0]]), torch.zeros(1, 6))
    assert not (tmp_path / ATTENTION).exists()
    assert attention_section(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"pairs": 3}', '{"pairs": [{"source": ["<b>"], "said": ["x"], "looks": [[1, 2]]}]}', '{"pairs": [null]}']
)
def test_a_damaged_file_is_no_part_of_the_page(content: str, tmp_path: Path) -> None:
    (tmp_path / ATTENTION).write_text(content)
    assert attention_section(tmp_path) is None


def test_pieces_are_escaped(tmp_path: Path) -> None:
    (tmp_path / ATTENTION).write_text('{"pairs": [{"source": ["<b>"], "said": ["<i>"], "looks": [["x"]]}]}')
    page = str(attention_section(tmp_path))
    assert "<b>" not in page and "<i>" not in page
    assert "--seen:0.00" in page
