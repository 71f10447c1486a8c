"""What a process knows of its launcher; several processes at once are in tests/commands."""

import os

import pytest
import torch

from mfd import distributed
from mfd.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_without_a_launcher_is_the_first_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.launched() == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "4")  # some clusters set this alone
    assert distributed.launched() == (0, 1)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_ranks_that_cannot_be_are_refused(
    rank: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(ConfigError, match=f"RANK is '{rank}' and WORLD_SIZE '{size}', expected"):
        distributed.launched()


def test_shares_are_all_items_in_order_and_even(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 2, 3, 7):
        for count in (0, 1, 5, 7, 20):
            shares = []
            for rank in range(size):
                monkeypatch.setattr(distributed, "_joined", {"rank": rank, "size": size})
                shares.append(distributed.share(range(count)))
            assert [item for share in shares for item in share] == list(range(count))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_processes_without_a_place_to_meet_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "1")
    with (
        pytest.raises(ConfigError, match="WORLD_SIZE is 2, but MASTER_ADDR is not set; start"),
        distributed.joined(torch.device("cpu")),
    ):
        pass
    assert "MASTER_ADDR" not in os.environ


def test_alone_everything_is_as_it_was() -> None:
    parameter = torch.zeros(3, requires_grad=True)
    with distributed.joined(torch.device("cpu")), distributed.first_alone():
        assert (distributed.rank(), distributed.size()) == (0, 1)
        further = torch.ones(2)
        assert distributed.sum_gradients([parameter], further) is further
        assert parameter.grad is None
        assert distributed.totals(2, 0.5) == [2, 0.5]
        assert distributed.gathered("x") == ["x"]
        assert distributed.from_first(lambda: 7) == 7
        distributed.require_same("a number", 7)
