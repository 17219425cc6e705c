"""Chat templates in jinja2's sandbox, with limits on the work that one rendering may do.

A template comes with a base model and is a program. Work is counted, not timed, so the same row
always gets the same answer; the processor time of the thread is a last resort. No signals and no
child process are needed, so the limits hold in every thread.

    steps       passes of loops, calls, filters, elements of new lists: MAX_STEPS
    text        characters of any one text that the template makes: MAX_TEXT
    characters  of all the texts that it makes: MAX_CHARS
    seconds     of processor time: MAX_SECONDS

The first three grow with the row that is rendered. Names and filters are those that transformers
gives a template; what could differ from one rendering to the next (`random`, the date) is left out
or fixed.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from loray.models import template_costs as costs
from loray.models.json_numbers import as_json
from loray.models.template_nodes import CONCAT, STEP, WEIGH, Metered

MAX_STEPS = 1_000_000
MAX_TEXT = 1 << 22
MAX_CHARS = 1 << 26
MAX_SECONDS = 5.0
MAX_SOURCE = 1 << 20
"""Characters of a template; published ones have up to some 30,000."""
STEPS_BETWEEN_LOOKS = 64
"""Steps from one look at the clock to the next."""
TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What `strftime_now` writes: no row may depend on when it is rendered."""
LEFT_OUT = (
    "center", "filesizeformat", "forceescape", "pprint", "random", "urlize", "wordwrap", "xmlattr",
)  # fmt: skip
"""Filters of jinja2 that no chat needs: they pad, mark up for the web, or draw lots."""


class TemplateLimitError(TemplateError):
    """A rendering did more work than any chat needs."""


class Meter:
    """What is left of the work that one rendering may do."""

    def __init__(self, num_chars: int) -> None:
        """Start counting, for a row of `num_chars` characters."""
        self.max_text = MAX_TEXT + 4 * num_chars
        self._steps = MAX_STEPS + num_chars
        self._chars: float = MAX_CHARS + 64 * num_chars
        self._look_at = self._steps - STEPS_BETWEEN_LOOKS
        self._until: float | None = None

    def step(self, count: int = 1) -> None:
        """Count steps.

        Raises:
            TemplateLimitError: they, or the time, are used up.
        """
        self._steps -= count
        if self._steps < self._look_at:
            self._look_at = self._steps - STEPS_BETWEEN_LOOKS
            if self._steps < 0:
                _refuse(f"it takes more than {MAX_STEPS:,} steps")
            if self._until is None:
                self._until = time.thread_time() + MAX_SECONDS
            elif time.thread_time() > self._until:
                _refuse(f"it takes more than {MAX_SECONDS:g} seconds of processor time")

    def text(self, num_chars: float) -> None:
        """Count a text that is about to be made, or was.

        Raises:
            TemplateLimitError: it is too long, or all texts together are.
        """
        if num_chars > self.max_text or num_chars > self._chars:
            _refuse(f"it makes texts of more than {self.max_text:,} characters")
        self._chars -= num_chars

    def made(self, value: Any) -> Any:  # noqa: ANN401 (a template's value)
        """Count a value that was made, and give it back."""
        if isinstance(value, str):
            self.text(len(value))
        elif isinstance(value, list | tuple | dict | set):
            self.step(costs.weight(value).elements)
        return value

    def spelled(self, value: Any) -> Any:  # noqa: ANN401
        """Count a value that is about to become text, and give it back."""
        if isinstance(value, str):
            self.text(len(value))
        elif isinstance(value, list | tuple | dict | set):
            weight = costs.weight(value)
            self.step(weight.elements)
            self.text(weight.chars)
        else:
            self.step()
        return value


_running = threading.local()


def render_template(source: str, variables: Mapping[str, Any], *, num_chars: int) -> str:
    """The text that a chat template writes.

    Args:
        source: the template.
        variables: what it may name.
        num_chars: how long the row is; what a template may do grows with it.

    Raises:
        Exception: whatever the template raises, and `TemplateLimitError` where it does too much.
    """
    template = _compiled(source)
    _running.meter = Meter(num_chars)
    # As `Template.render` does, but for a copy of the globals and a traceback that names lines.
    context = template.new_context({**template.environment.globals, **variables}, shared=True)
    return "".join(template.root_render_func(context))


@lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    if len(source) > MAX_SOURCE:
        _refuse(f"it has {len(source):,} characters, more than {MAX_SOURCE:,}")
    environment = Sandbox()
    tree = Metered().visit(environment.parse(source))
    return environment.from_string(tree)


class GenerationTag(Extension):
    """`{% generation %}` marks answers for other tools; what it holds is rendered as it is."""

    tags = frozenset({"generation"})  # type: ignore[assignment]

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements up to `{% endgeneration %}`."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class SafeNamespace(Namespace):
    """What templates keep values in from one pass of a loop to the next."""

    def __init__(self, /, *args: Any, **values: Any) -> None:  # noqa: ANN401
        found = dict(*args, **values)
        for name in found:
            _check_name(name)
        Namespace.__init__(self, found)

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401
        _check_name(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<namespace>"  # its values may hold it


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all chat templates."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[GenerationTag, loopcontrols],
            finalize=_finalize,
            optimized=False,  # a constant that is worked out at once would not be counted
        )
        self.filters = {
            name: _counted(name, function)
            for name, function in {**self.filters, "tojson": _tojson}.items()
            if name not in LEFT_OUT
        }
        self.filters |= {STEP: _step, CONCAT: _concat, WEIGH: _weigh}
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": _strftime_now,
            "dict": _dict,
            "namespace": SafeNamespace,
        }

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, ANN401
        """Call a function, a macro or a method, counted."""
        meter: Meter = _running.meter
        meter.step()
        size, args = costs.of_call(__obj, args)
        meter.text(size)
        return meter.made(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """An operation whose result may be much larger than what it is made from."""
        meter: Meter = _running.meter
        if operator == "+" and type(left) is str and type(right) is str:  # what templates do most
            text = left + right
            meter.text(len(text))
            return text
        meter.text(costs.of_operation(operator, left, right))
        return meter.made(super().call_binop(context, operator, left, right))


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        meter: Meter = _running.meter
        meter.step()
        size, args = costs.of_filter(name, args, kwargs)
        meter.text(size)
        return meter.made(function(*args, **kwargs))

    if hasattr(function, "jinja_pass_arg"):
        counted.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return counted


@pass_context
def _finalize(_: Context, value: Any) -> Any:  # noqa: ANN401
    meter: Meter = _running.meter
    if type(value) is str:
        meter.text(len(value))
        return value
    return meter.spelled(value)


def _step(num_chars: int) -> bool:
    """A pass of a loop, or a call of a macro, that writes so many characters of its own."""
    meter: Meter = _running.meter
    meter.step()
    if num_chars:
        meter.text(num_chars)
    return True


def _concat(parts: Sequence[Any]) -> str:
    meter: Meter = _running.meter
    text = "".join(str(meter.spelled(part)) for part in parts)
    meter.text(len(text))
    return text


def _weigh(value: Any) -> Any:  # noqa: ANN401
    meter: Meter = _running.meter
    return meter.made(value)


def _tojson(
    value: Any,  # noqa: ANN401
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 (as templates call it)
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """JSON as transformers writes it, numbers as they were spelled."""
    return as_json(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _dict(*args: Any, **values: Any) -> dict[Any, Any]:  # noqa: ANN401
    return dict(*args, **values)


def _strftime_now(form: str) -> str:
    if len(form) > costs.MAX_FORM or any(sign.isdigit() for sign in form):
        _refuse("it writes the date in an unheard-of form")
    return TODAY.strftime(form)


def _raise(message: Any) -> NoReturn:  # noqa: ANN401
    raise TemplateError(str(message)[:1000])


def _check_name(name: object) -> None:
    if str(name).startswith("_"):
        raise TemplateError(f"a namespace cannot hold {str(name)[:80]!r}")


def _refuse(what: str) -> NoReturn:
    raise TemplateLimitError(f"{what}, which no chat needs")
