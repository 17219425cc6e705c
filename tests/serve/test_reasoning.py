"""Clients get the answer, and the reasoning before it where they ask for it."""

from collections.abc import Iterator

import pytest

from loray.serve.answerer import Answerer
from loray.spec.data import ChatSpec
from loray.spec.serve import ServeSpec
from tests.models.published import published
from tests.serve.conftest import House
from tests.serve.echo import EchoEngine, ShelfCatalog
from tests.serve.http import call, chat, events

WRITTEN = "<think>\nfirst STOP so\n</think>\n\nIt is four. STOP Or five."


class Thinker(EchoEngine):
    """Says the same to all."""

    def submit(self, request, on_event):
        with self._lock:
            ids = [*self._encode(WRITTEN), self._eos]
            self._rows[request.request_id] = (request, on_event, ids)
            self._lock.notify_all()


@pytest.fixture
def app() -> Iterator:
    tokenizer = published("qwen3")
    engine = Thinker(
        lambda text: tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id
    )
    spec = ServeSpec(max_context=256, max_new_tokens=100, request_timeout_seconds=5.0, slots=2)
    catalog = ShelfCatalog({})
    answerer = Answerer(engine, tokenizer, ChatSpec(), spec, catalog.folder)
    yield House(engine, answerer, {}, catalog, spec).app()
    engine.close()


def message(app, **fields):
    response = chat(app, model="tiny", **fields)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def test_the_think_block_is_no_part_of_the_content(app):
    found = message(app)
    assert found["content"] == "It is four. STOP Or five."
    assert "reasoning_content" not in found


def test_a_client_may_ask_for_the_reasoning(app):
    found = message(app, include_reasoning=True)
    assert found["content"] == "It is four. STOP Or five."
    assert found["reasoning_content"] == "first STOP so"


@pytest.mark.parametrize("wanted", [False, True])
def test_streams_part_the_reasoning_from_the_content(app, wanted):
    chunks = events(chat(app, model="tiny", stream=True, include_reasoning=wanted))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk.get("choices")]
    content = "".join(delta.get("content", "") for delta in deltas)
    reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert content == "It is four. STOP Or five."
    assert reasoning == ("first STOP so" if wanted else "")


def test_a_raw_completion_is_given_as_the_model_writes_it(app):
    body = {"model": "tiny", "prompt": "2+2", "max_tokens": 90}
    response = call(app, "POST", "/v1/completions", json=body)
    assert response.json()["choices"][0]["text"] == WRITTEN


def test_a_wish_of_another_kind_is_refused(app):
    response = chat(app, model="tiny", include_reasoning="maybe")
    assert response.status_code == 400
    assert "wanted true or false" in response.json()["error"]["message"]
