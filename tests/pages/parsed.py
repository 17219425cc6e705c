"""A page as a browser would parse it, and a row that tries everything."""

from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)></pre></article><style>*{}</style>"
    "\"'`=cmd|calc &lt;b&gt; {{ 7*7 }} {% raw %} javascript:alert(3)"
    "\x1b[31mred\x1b[0m \x07\x00 \x9b31m \r \u202edesrever\u202c \u2066 \ufeff \u2028 \U000e0041"
)
ALLOWED_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer"),
    *("article", "div", "span", "p", "h1", "h2", "h3", "b", "code", "pre", "ul", "li", "dl", "dt"),
    *("dd", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "line"),
    *("text", "polyline", "polygon", "circle", "rect"),
}
VOID = {"meta"}


class Page(HTMLParser):
    """Collects tags, attributes and texts, and refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
