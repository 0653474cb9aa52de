"""The attack in short: every kind of it a few times, each in a process of its own. In full: make test-attack."""
import sys

import pytest
from attack import ATTACKS, attack

TIMES = dict(file_operations=12, full_disk=12, moments=8, worker_kills=1, parent_kills=1, locks=150, threads=32, flips=4, flipped_models=40, bombs=40, official_folders=12, hostile_runs=4, explorers=3)


@pytest.mark.skipif(sys.platform != "linux", reason="copies processes and reads /proc")
@pytest.mark.parametrize("name", TIMES)
def test_nothing_is_found(name):
    figures = attack(name, TIMES[name])
    assert figures.pop("faults") == [] and any(figures.values()), figures


def test_each_attack_has_a_short_version():
    assert {work.__name__ for work in ATTACKS} == set(TIMES)


def test_an_attack_finds_what_is_wrong(tmp_path, monkeypatch):
    "Each judge of an outcome, with an outcome that is a fault."
    import attack as full

    from singan_nb.all import SinGANError
    assert full.outcome(lambda: 1, lambda got: got == 1) == ("the same bits", False)
    assert full.outcome(lambda: 1, lambda got: got == 2) == ("another result, and nothing is said", True)
    def fail(error): raise error
    assert full.outcome(lambda: fail(SinGANError("no")), bool) == ("refused", False)
    assert full.outcome(lambda: fail(ZeroDivisionError("0")), bool) == ("ZeroDivisionError: 0", True)
    assert full.forked(lambda: 3)[:2] == ("done", 3) and full.forked(fail, SinGANError("a"))[:2] == ("refused", "a")
    assert full.forked(fail, ValueError("b"))[0] == "crashed" and full.forked(full.time.sleep, 9, seconds=1)[0] == "killed by signal 14"
    assert "MemoryError" in full.forked(bytearray, 10**9, room=100)[1]
    assert full.wrong_row("done", 3, tmp_path)[0] == "exit code 3" and full.wrong_row("crashed", "", tmp_path) == ["crashed"]
    (tmp_path/"said").write_text("Traceback (most recent call last)"); (tmp_path/".a.partial").touch()
    assert full.wrong_runs(tmp_path, {"a": None}, tmp_path/"said", 1) == ["exit code 1", "a traceback", "a has no model", ".a.partial is left"]
