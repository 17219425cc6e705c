"""`loray chat` against a server that speaks OpenAI's streaming form."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Chatterbox(BaseHTTPRequestHandler):
    """Answers with the last question, word by word; refuses the model `gone`."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        if body["model"] == "gone":
            self._send(404, json.dumps({"error": {"message": "no adapter named gone"}}).encode())
            return
        words = body["messages"][-1]["content"].split(" ")
        events = [{"choices": [{"delta": {"content": f"{word} "}}]} for word in words]
        if body["model"] == "breaks":
            events.append({"error": {"message": "the engine stopped"}})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
        self._send(200, "".join(lines).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Chatterbox) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_an_answer_is_printed_as_it_comes(loray, server):
    said = loray("chat", "bot@champion", "--url", url(server), "-m", "say this back")
    assert said.code == 0
    assert said.out == "say this back \n"
    (asked,) = server.asked
    assert asked["model"] == "bot@champion"
    assert asked["stream"] is True
    assert "max_tokens" not in asked


def test_a_conversation_carries_what_was_said_before(loray, server, monkeypatch):
    lines = iter(["one", "two", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    assert loray("chat", "bot", "--url", url(server)).code == 0
    roles = [turn["role"] for turn in server.asked[1]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"][:3]
    assert server.asked[1]["messages"][1]["content"] == "one "


def test_escape_sequences_in_an_answer_do_not_reach_the_terminal(loray, server):
    assert "\x1b" not in loray("chat", "bot", "--url", url(server), "-m", "a\x1b[2Jb").out


def test_the_servers_refusal_is_told_in_its_own_words(loray, server):
    said = loray("chat", "gone", "--url", url(server), "-m", "hello")
    assert said.code == 1
    assert said.err == "RequestError: no adapter named gone (HTTP 404)\n"


def test_an_error_in_the_middle_of_a_stream_is_told(loray, server):
    said = loray("chat", "breaks", "--url", url(server), "-m", "hello")
    assert said.code == 1
    assert "the engine stopped" in said.err


def test_a_server_that_is_not_there_is_named_with_the_remedy(loray):
    said = loray("chat", "bot", "--url", "http://127.0.0.1:9", "-m", "hello")
    assert said.code == 1
    assert "start it with `loray serve SPEC`" in said.err
