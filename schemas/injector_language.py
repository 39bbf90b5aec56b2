"""The language of credential types' templates: Jinja in a sandbox, for checks and for jobs.

What a template may do is said by what is allowed: no loops and no names of its own, and nothing
that makes a long text of a short one. What is left takes as long as the template is.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Template, Undefined, filters, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps

BRACE = "{"
"""A text without one is no template."""
_GROWN_MAX = 50_000
"""Characters that a filter may make of a value."""
_STATEMENTS = (nodes.Template, nodes.Output, nodes.If)
_OTHERS = (nodes.Keyword, nodes.Operand, nodes.Pair)
_MULTIPLYING = (nodes.Mul, nodes.Pow, nodes.Mod)
_FILTER_WORDS = (
    "abs bool capitalize count d default e escape first float forceescape int last length list"
    " lower max min random reverse safe sort string striptags title tojson trim truncate unique"
    " upper urlencode wordcount"
)
_FILTERS = frozenset(_FILTER_WORDS.split())
_METHOD_WORDS = (
    "capitalize casefold count endswith find get index isalnum isalpha isdigit islower isupper"
    " items keys lower lstrip partition removeprefix removesuffix rpartition rsplit rstrip split"
    " splitlines startswith strip swapcase title upper values"
)
_METHODS = frozenset(_METHOD_WORDS.split())


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox with as few filters as injectors need, and calls of methods that do not grow."""

    def __init__(self, undefined: type[Undefined]) -> None:
        """Leave out everything that is not allowed; ``undefined`` stands for unknown names."""
        super().__init__(undefined=undefined)
        self.globals.clear()
        bounded = {"indent": _indent, "join": _join, "replace": _replace, "tojson": _tojson}
        known = {name: self.filters[name] for name in _FILTERS if name in self.filters}
        self.filters = {**known, **bounded}

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow what reads or cuts a value, and what says itself that it is undefined."""
        if isinstance(obj, Undefined):
            return True
        return getattr(obj, "__name__", "") in _METHODS and super().is_safe_callable(obj)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Replace within a text only as far as the filter of that name does."""
        method, given = args[1], args[2:]
        text = getattr(method, "__self__", None)
        if isinstance(text, str) and getattr(method, "__name__", "") == "replace":
            return _replace(text, *given, **kwargs)
        return super().call(*args, **kwargs)


def _fits(size: int) -> None:
    if size > _GROWN_MAX:
        message = f"a text of more than {_GROWN_MAX} characters"
        raise SecurityError(message)


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> str:
    text, old, new = str(value), str(old), str(new)
    _fits(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


def _join(value: Any, between: Any = "") -> str:
    parts = [str(each) for each in value]
    _fits(sum(map(len, parts)) + len(parts) * len(str(between)))
    return str(between).join(parts)


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - Jinja's own signature
    text = str(value)
    _fits(len(text) + len(text.splitlines() or [text]) * int(width))
    return filters.do_indent(text, int(width), first, blank)


def _tojson(value: Any) -> Any:
    _fits(len(str(value)))
    return htmlsafe_json_dumps(value)


def compiled(sandbox: Sandbox, text: str) -> Template:
    """Return a template, allowed and compiled. Raises SecurityError, TemplateSyntaxError."""
    tree = sandbox.parse(text)
    _refuse_costly(tree)
    code = sandbox.compile(tree)
    return sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None))


def _refuse_costly(tree: nodes.Template) -> None:
    """Raise SecurityError for what a template may not be made of."""
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        allowed = isinstance(node, (*_STATEMENTS, *_OTHERS, nodes.Expr))
        if not allowed or isinstance(node, _MULTIPLYING):
            word = getattr(node, "operator", "")
            what = f"the operator {word}" if word else f"a statement ({type(node).__name__})"
            message = f"{what} is not allowed"
            raise SecurityError(message)
        waiting += node.iter_child_nodes()
