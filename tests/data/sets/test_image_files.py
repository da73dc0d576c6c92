"""Image files are worked on in blocks, by threads where that pays."""

import threading

import pytest

from noisy_lightning.data.sets.image_files import of_blocks


@pytest.mark.parametrize(("worked", "waited", "slow"), [(1e-4, 1e-3, False), (1e-3, 1e-3, True), (1e-5, 0.01, True)])
def test_results_of_blocks_come_in_order_and_only_slow_files_get_threads(
    worked: float, waited: float, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, files = set(), [0]
    clocks = "noisy_lightning.data.sets.image_files.time"
    monkeypatch.setattr(f"{clocks}.thread_time", lambda: worked * files[0])
    monkeypatch.setattr(f"{clocks}.perf_counter", lambda: waited * files[0])

    def work(block: range) -> range:
        threads.add(threading.current_thread().name)
        files[0] += len(block)
        return block

    found = list(of_blocks(work, 200))
    assert [position for block in found for position in block] == list(range(200))
    assert (len(threads) > 1) == slow


@pytest.mark.parametrize("count", [0, 1, 33])
def test_a_few_files_are_all_worked_on(count: int) -> None:
    assert [position for block in of_blocks(list, count) for position in block] == list(range(count))
