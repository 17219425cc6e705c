"""The API in this process: real routes, real tokenizer, an engine that echoes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from loray.serve.answerer import Answerer
from loray.serve.api import Api
from loray.serve.app import build_app
from loray.serve.catalog import AdapterVersion
from loray.serve.openai_answers import BaseIdentity
from loray.serve.outcomes import Outcome
from loray.serve.recent_catalog import RecentCatalog
from loray.spec.data import ChatSpec
from loray.spec.serve import ServeSpec
from tests.serve.echo import EchoEngine, ShelfCatalog, version_of

BASE = BaseIdentity("tiny", "b" * 64, created=1_700_000_000)


@dataclass
class House:
    """A served base with two adapters."""

    engine: EchoEngine
    answerer: Answerer
    shelf: dict[str, AdapterVersion]
    catalog: ShelfCatalog
    spec: ServeSpec
    outcomes: list[Outcome] = field(default_factory=list)
    now: float = 0.0

    def app(self) -> Callable:
        recent = RecentCatalog(self.catalog, clock=lambda: self.now)
        return build_app(Api(self.spec, BASE, recent, self.answerer, self.outcomes.append))


@pytest.fixture(scope="session")
def tokenizer():
    """Bytes and control tokens; one token a character of ASCII."""
    from loray.quickstart.initialise import train_tokenizer

    return train_tokenizer(None, 300, 512)


@pytest.fixture
def house(tokenizer) -> Iterator[House]:
    engine = EchoEngine(
        lambda text: tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id
    )
    one, two, three = (version_of("poet", 1), version_of("poet", 2), version_of("critic", 1))
    shelf = {
        "poet": two, "poet@champion": two, "poet@1": one, "poet@2": two,
        "critic": three, "critic@1": three,
    }  # fmt: skip
    catalog = ShelfCatalog(shelf)
    spec = ServeSpec(max_context=256, max_new_tokens=100, request_timeout_seconds=5.0, slots=2)
    answerer = Answerer(engine, tokenizer, ChatSpec(), spec, catalog.folder)
    yield House(engine, answerer, shelf, catalog, spec)
    engine.close()
