"""Counters in memory are bounded; tests/stores holds what memory and Redis have in common."""

from broker.runtime.ephemeral.memory import Memory


def test_what_is_kept_is_bounded_and_finished_windows_go_first() -> None:
    memory = Memory(capacity=3)
    memory.hit("b", "running", 600, 0)
    for key in ("old1", "old2"):
        memory.hit("b", key, 10, 0)
    memory.hit("b", "new", 60, 20)
    assert memory.seen("b", "running", 600, 20).count == 1
    for number in range(50):
        memory.hit("b", f"k{number}", 60, 30)
    assert len(memory._windows) <= 3
    assert memory.seen("b", "k49", 60, 30).count == 1


def test_a_sweep_forgets_what_ended_and_keeps_what_runs() -> None:
    memory = Memory()
    memory.hit("b", "ended", 10, 0)
    memory.hit("b", "runs", 60, 0)
    memory.sweep(10)
    assert list(memory._windows) == [("b", "runs")]


def test_memory_is_always_well() -> None:
    assert Memory().healthy() and Memory().failures == 0
