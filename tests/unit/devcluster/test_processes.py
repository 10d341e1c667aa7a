"""Starting, finding and stopping long-running programs, with small shell programs in their place."""

import os
import signal
import sys
from pathlib import Path

import pytest

from devcluster import processes
from devcluster.errors import DevclusterError
from devcluster.paths import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_starts_once_and_stops(state: State) -> None:
    processes.start(state, "sleeper", ["sleep", "60"])
    pid = processes.running(state, "sleeper")
    processes.start(state, "sleeper", ["sleep", "60"])
    assert pid is not None
    assert processes.running(state, "sleeper") == pid
    processes.stop(state, "sleeper")
    assert processes.running(state, "sleeper") is None
    assert processes.started(state) == []


def test_a_lock_of_the_caller_is_not_held_by_what_it_starts(state: State) -> None:
    lock = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(lock, True)
    try:
        processes.start(state, "sleeper", ["sleep", "60"])
        pid = processes.running(state, "sleeper")
        assert {file.name for file in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}
    finally:
        os.close(lock)
        processes.stop(state, "sleeper")


def test_a_pid_taken_by_another_process_is_not_ours(state: State) -> None:
    state.run.mkdir()
    (state.run / "old.pid").write_text(f"{os.getpid()} 1")
    assert processes.running(state, "old") is None
    processes.stop(state, "old")  # ends nothing: this test process goes on


def test_stop_ends_a_program_that_ignores_sigterm(state: State) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    processes.start(state, "deaf", [sys.executable, "-c", code])
    processes.wait(state, "deaf", lambda: "deaf" in processes.last_lines(state, "deaf"), 20)
    processes.stop(state, "deaf", grace=0.3)
    assert processes.running(state, "deaf") is None


def test_waiting_for_a_program_that_died_says_its_last_words(state: State) -> None:
    processes.start(state, "broken", ["sh", "-c", "echo no such config >&2; exit 3"])
    with pytest.raises(DevclusterError, match="broken died: no such config"):
        processes.wait(state, "broken", lambda: False, 20)


def test_waiting_too_long_names_the_log(state: State) -> None:
    processes.start(state, "slow", ["sh", "-c", "echo still loading; exec sleep 60"])
    with pytest.raises(DevclusterError, match=r"slow is not ready after 0 s: .*slow.log"):
        processes.wait(state, "slow", lambda: False, 0.3)
    os.killpg(processes.running(state, "slow") or 0, signal.SIGKILL)
