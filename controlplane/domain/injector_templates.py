"""Trying a credential type's templates on made-up values, in Jinja's sandbox.

It happens where requests are answered, so what a template may do is said by what is allowed: no
loops and no names of its own, and nothing that makes a long text of a short one. What is left takes
as long as the template is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from jinja2 import StrictUndefined, Undefined, filters, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps

EXAMPLE = "EXAMPLE"
BRACE = "{"
"""A text without one has nothing to try."""
MANY_FILES = "Must use multi-file syntax when injecting multiple files"
NO_FILE = "Must define unnamed file injector in order to reference `tower.filename`."
RESERVED = "Cannot directly reference reserved `tower` namespace container."
TOTAL_MAX = 8_000
"""Characters of all templates together: Jinja takes a while to read them."""
TOO_LONG = f"Templates of more than {TOTAL_MAX} characters are not allowed."
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


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox with as few filters as injectors need, and calls of methods that do not grow."""

    def __init__(self) -> None:
        """Leave out everything that is not allowed."""
        super().__init__(undefined=StrictUndefined)
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


class _Exploding(SimpleNamespace):
    """A name that may be looked into but not written out."""

    def __init__(self, message: str) -> None:
        """Say what is wrong with writing it out."""
        super().__init__()
        self._message = message

    def __str__(self) -> str:
        raise UndefinedError(self._message)


def problems(
    injectors: Mapping[str, Any], fields: Iterable[str], forbidden: Callable[[str], str]
) -> list[str]:
    """Return the first thing wrong with templates over these fields; the shape is right already.

    ``forbidden`` says why an environment variable may not be set, or nothing.
    """
    files = [name for name in injectors.get("file", {}) if name.startswith("template")]
    if "template" in files and len(files) > 1:
        return [MANY_FILES]
    if sum(len(each) for each in _templates(dict(injectors)) if BRACE in each) > TOTAL_MAX:
        return [TOO_LONG]
    names = _namespace(fields, files)
    sandbox = _Sandbox()
    for kind, injector in injectors.items():
        for name in injector if kind == "env" else ():
            if refused := forbidden(name):
                return [refused]
        for name, value in injector.items():
            for template in _templates(value):
                wrong = _problem(sandbox, (kind, name), template, names)
                if wrong:
                    return [wrong]
    return []


def _namespace(fields: Iterable[str], files: Iterable[str]) -> dict[str, Any]:
    tower = _Exploding(RESERVED)
    tower.filename = _Exploding(NO_FILE)
    for name in files:
        if name == "template":
            tower.filename = "EXAMPLE_FILENAME"
        else:
            setattr(tower.filename, name.split(".")[1], "EXAMPLE_FILENAME")
    return {**dict.fromkeys(fields, EXAMPLE), "tower": tower}


def _templates(value: Any) -> Iterator[str]:
    """Yield every text in a value, keys of objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _templates(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _templates(key)
            yield from _templates(each)


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


def _problem(
    sandbox: _Sandbox, place: tuple[str, str], template: str, names: Mapping[str, Any]
) -> str:
    kind, name = place
    if BRACE not in template:
        return ""
    try:
        tree = sandbox.parse(template)
        _refuse_costly(tree)
        code = sandbox.compile(tree)
        sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None)).render(names)
    except UndefinedError as error:
        return f"{name} uses an undefined field ({error})"
    except SecurityError as error:
        return f"Encountered unsafe code execution: {error}"
    except (TemplateSyntaxError, SyntaxError) as error:
        return f"Syntax error rendering template for {name} inside of {kind} ({error})"
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"{name} cannot be rendered ({type(error).__name__})"
    except (RecursionError, MemoryError):
        return f"{name} cannot be rendered (nested too deeply)"
    return ""
