"""A request's life: validation, stop, cancel, deadline, failure, close."""

import threading
import time

import pytest

from loray.errors import AdapterNotFoundError, EngineError, RequestError
from loray.inference import GenerateRequest, SamplingParams
from tests.inference.worlds import EOS, ByteTokenizer, prompt, write_adapter

pytestmark = pytest.mark.slow  # seconds each: the second half of make test
PROMPT = prompt(5, 8)


def request(name="r", ids=PROMPT, adapter=None, timeout=None, **sampling) -> GenerateRequest:
    params = SamplingParams(**({"max_new_tokens": 12} | sampling))
    return GenerateRequest(name, tuple(ids), adapter, params, timeout)


class Listener:
    """Gathers a request's events; may be slow, to keep a request running."""

    def __init__(self, seconds_per_event: float = 0.0) -> None:
        self.events = []
        self.seconds = seconds_per_event
        self.first = threading.Event()
        self.ended = threading.Event()

    def __call__(self, event) -> None:
        self.events.append(event)
        self.first.set()
        time.sleep(self.seconds)
        if event.finish_reason is not None:
            self.ended.set()

    @property
    def tokens(self):
        return tuple(token for event in self.events for token in event.token_ids)

    @property
    def last(self):
        assert self.ended.wait(30), "the request never ended"
        return self.events[-1]


class LetterTokenizer(ByteTokenizer):
    """Every byte is a letter of its own, so that texts are as long as answers."""

    def decode(self, token_ids, skip_special_tokens=False):
        return "".join(chr(0x4E00 + i) for i in token_ids if i < 256 or not skip_special_tokens)


def test_a_prompt_longer_than_the_context_is_refused(oracle):
    with pytest.raises(RequestError, match="128 tokens, at most 127 fit"):
        oracle.generate([request(ids=prompt(1, 128))])


def test_a_token_of_another_vocabulary_is_refused(oracle):
    with pytest.raises(RequestError, match="from 3 to 260, this model's are 0 to 259"):
        oracle.submit(request(ids=(3, 260)), Listener())


def test_an_adapter_that_is_not_in_memory_is_refused(oracle):
    with pytest.raises(AdapterNotFoundError, match="'nobody' is not in memory"):
        oracle.submit(request(adapter="nobody"), Listener())
    assert oracle.stats().num_running == 0


def test_one_bad_request_in_a_list_runs_none(oracle):
    before = oracle.stats().num_prompt_tokens
    with pytest.raises(RequestError, match="shorten it"):
        oracle.generate([request("good"), request("bad", ids=prompt(1, 300))])
    assert oracle.stats().num_prompt_tokens == before


def test_an_id_in_use_is_refused_and_free_again_afterwards(oracle):
    slow = Listener(0.01)
    oracle.submit(request("same"), slow)
    with pytest.raises(RequestError, match="'same' is still in use"):
        oracle.submit(request("same", adapter="a"), Listener())
    assert slow.last.finish_reason == "length"
    again = Listener()
    oracle.submit(request("same"), again)
    assert again.last.finish_reason == "length"


def test_a_full_context_ends_the_answer(oracle):
    [answer] = oracle.generate([request(ids=prompt(1, 120), max_new_tokens=50)])
    assert (len(answer.token_ids), answer.finish_reason) == (8, "length")


def test_an_end_token_stops_and_is_not_in_the_text(oracle, new_engine):
    [free] = oracle.generate([request()])
    tokenizer = ByteTokenizer()
    tokenizer.eos_token_id = free.token_ids[5]
    engine = new_engine(tokenizer=tokenizer)
    assert engine.end_tokens == {tokenizer.eos_token_id, EOS}
    [answer] = engine.generate([request()])
    length = free.token_ids.index(tokenizer.eos_token_id) + 1
    assert answer.finish_reason == "stop"
    assert answer.token_ids == free.token_ids[:length]
    assert answer.text == tokenizer.decode(answer.token_ids[:-1], skip_special_tokens=True)


def test_a_stop_string_ends_the_answer_and_is_not_in_the_text(new_engine):
    engine = new_engine(tokenizer=LetterTokenizer())
    [free] = engine.generate([request()])
    stop = free.text[4:7]
    [answer] = engine.generate([request(stop=("nowhere", stop))])
    assert answer.text == free.text[: free.text.index(stop)]
    assert answer.finish_reason == "stop"
    assert len(answer.token_ids) == free.text.index(stop) + 3


def test_a_seed_gives_the_same_answer_alone_and_in_a_crowd(oracle):
    def drawn(name):
        return request(name, adapter="a", temperature=1.0, top_p=0.9, seed=11)

    [alone] = oracle.generate([drawn("alone")])
    crowd = [
        request(f"{i}", ids=prompt(i, 4 + 3 * i), adapter="abcdef"[i], temperature=0.3 * i)
        for i in range(6)
    ]
    found = oracle.generate([*crowd, drawn("in a crowd")])[-1]
    assert found.token_ids == alone.token_ids
    [other] = oracle.generate([request(adapter="a", temperature=1.0, top_p=0.9, seed=12)])
    assert other.token_ids != alone.token_ids


def test_answers_come_in_the_order_of_the_requests(oracle):
    batch = [request(f"{i}", ids=prompt(i, 3 + 5 * (i % 4))) for i in range(12)]
    together = [answer.token_ids for answer in oracle.generate(batch)]
    assert together == [oracle.generate([one])[0].token_ids for one in batch]
    assert len(set(together)) == len(batch)


def test_a_cancelled_request_frees_its_row_for_the_next(new_engine):
    engine = new_engine(max_batch=1)
    slow, waiting = Listener(0.01), Listener()
    engine.submit(request("slow", max_new_tokens=100), slow)
    engine.submit(request("waiting"), waiting)
    assert slow.first.wait(30)
    assert waiting.events == []
    engine.cancel("slow")
    assert slow.last.finish_reason == "cancelled"
    assert len(slow.tokens) < 100
    assert waiting.last.finish_reason == "length"


def test_a_cancelled_request_leaves_its_neighbours_as_they_were(oracle):
    batch = [request(f"{i}", ids=prompt(115 + i, 5 + 4 * i), adapter="abcd"[i]) for i in range(4)]
    wanted = [answer.token_ids for answer in oracle.generate(batch)]
    assert [len(tokens) for tokens in wanted] == [12] * 4
    listeners = [Listener(0.002) for _ in batch]
    for one, listener in zip(batch, listeners, strict=True):
        oracle.submit(one, listener)
    assert listeners[3].first.wait(30)
    oracle.cancel("1")
    assert [listener.last.finish_reason for listener in listeners].count("cancelled") == 1
    for i in (0, 2, 3):
        assert listeners[i].tokens == wanted[i]


def test_a_waiting_request_can_be_cancelled_and_unknown_ids_are_ignored(new_engine):
    engine = new_engine(max_batch=1)
    slow, waiting = Listener(0.005), Listener()
    engine.submit(request("slow"), slow)
    engine.submit(request("waiting"), waiting)
    engine.cancel("waiting")
    engine.cancel("never heard of")
    assert waiting.last.finish_reason == "cancelled"
    assert waiting.tokens == ()
    assert slow.last.finish_reason == "length"


def test_a_deadline_ends_a_running_and_a_waiting_request(new_engine):
    engine = new_engine(max_batch=1)
    running, waiting = Listener(0.02), Listener()
    engine.submit(request("running", timeout=0.2, max_new_tokens=100), running)
    engine.submit(request("waiting", timeout=0.1), waiting)
    assert running.last.finish_reason == waiting.last.finish_reason == "deadline"
    assert 1 <= len(running.tokens) < 100
    assert waiting.tokens == ()
    assert engine.stats().num_running == 0


def test_a_listener_that_fails_cancels_only_its_own_request(oracle):
    heard = []

    def broken(event):
        heard.append(event)
        if event.finish_reason is None:
            raise RuntimeError("this listener is broken")

    neighbour = Listener(0.005)
    oracle.submit(request("neighbour"), neighbour)
    oracle.submit(request("broken", max_new_tokens=100), broken)
    assert neighbour.last.finish_reason == "length"
    [after] = oracle.generate([request("after")])
    assert after.token_ids == neighbour.tokens
    assert heard[-1].finish_reason == "cancelled"


def test_an_error_in_a_pass_reaches_its_requests_and_the_engine_goes_on(new_engine, monkeypatch):
    engine = new_engine()
    wanted = engine.generate([request()])
    sound = engine._runner.decode

    def fails_once(*args):
        monkeypatch.setattr(engine._runner, "decode", sound)
        raise MemoryError("no room for this step")

    monkeypatch.setattr(engine._runner, "decode", fails_once)
    with pytest.raises(EngineError, match="no room for this step"):
        engine.generate([request("one"), request("two", ids=prompt(9, 4))])
    assert engine.generate([request()])[0].token_ids == wanted[0].token_ids
    assert engine.stats().num_running == 0


def test_an_adapter_that_overflows_fails_alone_and_poisons_nobody(new_engine, world, tmp_path):
    engine = new_engine(max_batch=3)
    engine.load_adapter("a", world.adapters["a"])
    engine.load_adapter("huge", write_adapter(tmp_path / "huge", world.base(), 1, size=1e25))
    batch = [request("a", adapter="a"), request("base", ids=prompt(6, 30))]
    wanted = engine.generate(batch)
    for length in (40, 60):
        broken, neighbours = Listener(), [Listener(), Listener()]
        engine.submit(request("huge", ids=prompt(7, length), adapter="huge"), broken)
        for one, listener in zip(batch, neighbours, strict=True):
            engine.submit(one, listener)
        assert broken.last.finish_reason == "error"
        assert "NaN or infinity" in str(broken.last.error)
        assert [n.last.finish_reason for n in neighbours] == ["length", "length"]
        assert [n.tokens for n in neighbours] == [answer.token_ids for answer in wanted]


def test_a_row_where_an_adapter_overflowed_is_clean_for_the_next(new_engine, world, tmp_path):
    engine = new_engine()
    engine.load_adapter("huge", write_adapter(tmp_path / "huge", world.base(), 1, size=1e25))
    [wanted] = engine.generate([request(ids=prompt(6, 30))])
    with pytest.raises(EngineError, match="NaN or infinity"):
        engine.generate([request("huge", ids=prompt(7, 100), adapter="huge")])
    # A short sequence in that row beside a longer one: its row is read far beyond its end.
    short = Listener(0.005)
    engine.submit(request(ids=prompt(6, 30)), short)
    assert short.first.wait(30)
    engine.generate([request("long", ids=prompt(8, 90))])
    assert short.last.finish_reason == "length"
    assert short.tokens == wanted.token_ids


def test_nothing_of_a_request_stays_in_the_cache_when_it_has_ended(new_engine, world):
    engine = new_engine(max_batch=4)
    engine.load_adapter("a", world.adapters["a"])
    batch = [
        request(f"{i}", prompt(i, 3 + 9 * (i % 5)), "a" if i % 2 else None, max_new_tokens=2 + i)
        for i in range(9)
    ]
    engine.generate(batch)
    for layer in engine._runner.cache.layers:
        assert not layer.keys.any()
        assert not layer.values.any()


def test_close_ends_what_runs_and_refuses_what_comes(new_engine, world):
    model = world.base()
    before = dict(model.named_modules())
    engine = new_engine(model=model)
    running = Listener(0.01)
    engine.submit(request(max_new_tokens=100), running)
    assert running.first.wait(30)
    engine.close()
    engine.close()
    assert running.last.finish_reason == "cancelled"
    assert isinstance(running.last.error, EngineError)
    with pytest.raises(EngineError, match="closed"):
        engine.submit(request(), Listener())
    with pytest.raises(EngineError, match="closed"):
        engine.generate([request()])
    with pytest.raises(EngineError, match="closed"):
        engine.load_adapter("a", world.adapters["a"])
    assert dict(model.named_modules()) == before


def test_generate_and_score_share_the_engine_with_streams(oracle):
    batch = [request(f"{i}", ids=prompt(i, 9), adapter="abc"[i]) for i in range(3)]
    items = [(prompt(70 + i, 30), [True] * 30) for i in range(9)]
    answers, scores = oracle.generate(batch), oracle.score(items, "b")
    found = {}
    threads = [
        threading.Thread(target=lambda: found.update(answers=oracle.generate(batch))),
        threading.Thread(target=lambda: found.update(scores=oracle.score(items, "b"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a.token_ids for a in found["answers"]] == [a.token_ids for a in answers]
    assert [s.nll_sum for s in found["scores"]] == pytest.approx([s.nll_sum for s in scores])
