"""What a request leaves behind: nothing that is held, and no claim on its name."""

import gc
import threading
import weakref

import pytest

from loray.inference import Event, GenerateRequest, SamplingParams
from tests.inference.worlds import prompt

pytestmark = pytest.mark.slow  # seconds each: the second half of make test


def request(name: str = "r", timeout: float | None = None, tokens: int = 3) -> GenerateRequest:
    return GenerateRequest(name, tuple(prompt(5, 8)), None, SamplingParams(tokens), timeout)


class Heard:
    """A listener that other objects can hold weakly."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.ended = threading.Event()

    def __call__(self, event: Event) -> None:
        if event.finish_reason is not None:
            self.reasons.append(event.finish_reason)
            self.ended.set()


def test_prompts_and_listeners_are_let_go_of_long_before_the_deadline(oracle) -> None:
    listener = Heard()
    oracle.submit(request("long", timeout=3600.0), listener)
    assert listener.ended.wait(30)
    held, ended = weakref.ref(listener), listener.reasons
    del listener
    oracle.generate([request("after")])  # the thread has turned since
    gc.collect()
    assert ended == ["length"]
    assert held() is None


def test_a_listener_that_fails_at_the_end_costs_no_other_request_of_its_name(oracle) -> None:
    second = Heard()

    def broken(event: Event) -> None:
        if event.finish_reason is not None:
            oracle.submit(request("same", tokens=8), second)
            raise RuntimeError("this listener is broken")

    oracle.submit(request("same"), broken)
    assert second.ended.wait(30)
    assert second.reasons == ["length"]


def test_a_request_in_time_is_still_ended_by_its_deadline(oracle) -> None:
    listener = Heard()
    oracle.submit(request("late", timeout=0.0, tokens=100), listener)
    assert listener.ended.wait(30)
    assert listener.reasons == ["deadline"]
