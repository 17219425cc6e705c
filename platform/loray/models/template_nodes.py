"""A chat template's syntax tree with counters in it: loops, macros, new lists, joined texts."""

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

STEP, CONCAT, WEIGH = "_loray_step", "_loray_concat", "_loray_weigh"
"""Filters that `loray.models.sandbox` defines."""


class Metered(NodeTransformer):
    """Puts the counters in; the text that a template writes stays the same."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (jinja2's names)
        """A pass of the loop is a step, and so is one that its condition skips."""
        self.generic_visit(node)
        _count(node.body)
        if node.test is not None:
            node.test = nodes.And(_filter(nodes.Const(0), STEP), node.test)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        """A call is a step."""
        self.generic_visit(node)
        _count(node.body)
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        """So is a call of what a `call` block holds."""
        self.generic_visit(node)
        _count(node.body)
        return node

    def visit_Block(self, node: nodes.Block) -> nodes.Node:  # noqa: N802
        """And of a block, which may name itself."""
        self.generic_visit(node)
        _count(node.body)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """`a ~ b`, which jinja2 gives no other way to count."""
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes), CONCAT)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        """A new list weighs what its elements do."""
        self.generic_visit(node)
        return _filter(node, WEIGH) if _holds_values(node) else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        """So does a new dictionary."""
        self.generic_visit(node)
        return _filter(node, WEIGH) if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        """And a tuple, but for the names that a loop or an assignment sets."""
        self.generic_visit(node)
        return _filter(node, WEIGH) if node.ctx == "load" and _holds_values(node) else node


def _holds_values(node: nodes.List | nodes.Tuple) -> bool:
    return not all(isinstance(item, nodes.Const) for item in node.items)


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None)


def _count(body: list[nodes.Node]) -> None:
    """Begin `body` with a step that counts the text that it writes as it is."""
    written = (data for node in body for data in node.find_all(nodes.TemplateData))
    own = [node for node in body if isinstance(node, nodes.TemplateData)]
    num_chars = sum(len(data.data) for data in [*written, *own])
    body.insert(0, nodes.ExprStmt(_filter(nodes.Const(num_chars), STEP)))
