"""How templates become pages: everything printed is escaped, and what hides is made visible.

No script, no font, no image from elsewhere; a content security policy says so to the browser.
"""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loray.pages.figures import count, number
from loray.pages.visible import visible


def environment_of(package: str) -> Environment:
    """The templates of `package`, and those that all pages share (`page.css`)."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("loray.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Runs on every value that is printed, before it is escaped: no text can be forgotten.
    environment.finalize = _finalize
    environment.filters |= {"number": number, "count": count}
    return environment


def _finalize(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
