"""Real signals to real processes."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from loray.machines.signals import interruptible, kept_signals

NUMBERS = [signal.SIGINT, signal.SIGTERM]


def started(body: str) -> subprocess.Popen[str]:
    """A process that runs `body`, and has said `ready`."""
    script = f"""
import os, signal, sys, time
from loray.machines.signals import interruptible, kept_signals
with interruptible("interrupted; go on") as heard:
    try:
{body}
    except KeyboardInterrupt:
        print("let go", flush=True)
sys.exit(heard.exit_code)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_told_once_and_unwinds_what_runs(number: int) -> None:
    process = started("        print('ready', flush=True); time.sleep(60)")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (128 + number, "let go\n", "interrupted; go on\n")


def test_a_process_started_in_the_background_hears_sigint_too() -> None:
    """A shell without job control starts `command &` with SIGINT ignored."""
    script = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from loray.machines.signals import interruptible\n"
        "with interruptible('interrupted'):\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1].startswith("interrupted\n")


STUBBORN = """
        try:
            print('ready', flush=True); time.sleep(60)
        except KeyboardInterrupt:
            print('letting go', flush=True)
            end = time.monotonic() + 30
            while time.monotonic() < end:
                time.sleep(0.05)
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    process = started(STUBBORN)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "letting go\n"
    time.sleep(1.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 10
    assert err == "interrupted; go on\n"


def test_one_signal_sent_to_process_and_group_counts_once() -> None:
    process = started(STUBBORN)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_handlers_that_a_library_takes_are_given_back() -> None:
    body = """
        with kept_signals():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
            signal.signal(signal.SIGINT, lambda *_: None)
        print('ready', flush=True); time.sleep(60)"""
    process = started(body)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (143, "let go\n", "interrupted; go on\n")


def test_a_signal_that_the_library_turned_into_an_exit_is_heard() -> None:
    body = """
        with kept_signals():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
            print('ready', flush=True); time.sleep(60)"""
    process = started(body)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (143, "let go\n", "interrupted; go on\n")


def test_outside_the_main_thread_nothing_is_changed() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    seen = []

    def work() -> None:
        with interruptible("x") as heard, kept_signals():
            seen.append(heard.exit_code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with interruptible("x"):
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before
