"""What Ctrl-C, SIGTERM and SIGHUP do to a process."""

import signal
import subprocess
import sys
import threading

import pytest

from mfd.stopping import Stopped, stop_requested, stops_cleanly

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_inside_clean_work_raises_and_says_which(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(Stopped) as stopped, stops_cleanly():
        signal.raise_signal(signum)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", SIGNALS)
def test_first_signal_is_remembered_and_the_second_interrupts(signum: signal.Signals) -> None:
    with stop_requested() as asked:
        assert asked() == 0
        signal.raise_signal(signum)
        assert asked() == signum
        with pytest.raises(Stopped):
            signal.raise_signal(signum)


def test_other_threads_are_never_asked_to_stop() -> None:
    answers: list[int] = []

    def work() -> None:
        with stops_cleanly(), stop_requested() as asked:
            answers.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [0]


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_outside_of_clean_work_ends_at_once_without_a_traceback(
    signum: signal.Signals,
) -> None:
    code = (
        "from mfd.stopping import install_exit_at_once; install_exit_at_once();"
        "import time; print('up', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signum)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert errors.split() == ["stopped"]


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_that_is_ignored_as_by_nohup_stays_ignored(signum: signal.Signals) -> None:
    code = f"""
import signal
signal.signal({signum.value}, signal.SIG_IGN)
from mfd.stopping import install_exit_at_once, stop_requested, stops_cleanly
install_exit_at_once()
signal.raise_signal({signum.value})
with stops_cleanly():
    signal.raise_signal({signum.value})
with stop_requested() as asked:
    signal.raise_signal({signum.value})
    assert asked() == 0
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
