"""What is measured of custody runs, with little of everything. How fast anything is, no test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import blocks, node, signer, withdrawals


async def test_each_chain_gets_its_line_of_withdrawals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WITHDRAWALS", "SENDS"):
        monkeypatch.setattr(withdrawals, name, 4)
    await withdrawals.main(tmp_path, list(node.FORMS))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(node.FORMS)


async def test_blocks_are_measured_with_some_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(blocks, "TRANSFERS", 20)
    monkeypatch.setattr(blocks, "OURS", (0, 20))
    await blocks.main(tmp_path, [50])
    measured = [line for line in capsys.readouterr().out.splitlines() if "ours" in line]
    assert [line.split("addresses, ")[1].split(" ours")[0].split() for line in measured] == [
        ["all", "credited", "too,", "20", "of", "20"],
        ["0", "of", "20"],
        ["20", "of", "20"],
    ]


async def test_signatures_and_addresses_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TRANSACTIONS", "ADDRESSES"):
        monkeypatch.setattr(signer, name, 3)
    await signer.main(tmp_path)
    measured = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert measured == ["bitcoin", "solana", "stellar", "bitcoin", "ethereum", "solana"]
