"""Trying a credential type's templates on made-up values, in Jinja's sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

EXAMPLE = "EXAMPLE"
MANY_FILES = "Must use multi-file syntax when injecting multiple files"
NO_FILE = "Must define unnamed file injector in order to reference `tower.filename`."
RESERVED = "Cannot directly reference reserved `tower` namespace container."
_PADDING = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "format", "format_map"})
_FILLERS = ("center", "format", "indent")
"""Filters that do the same."""
_MULTIPLYING = frozenset({"*", "**", "%"})


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox that does not multiply either: a short template must not grow without bounds."""

    intercepted_binops = _MULTIPLYING

    def is_safe_callable(self, obj: Any) -> bool:
        """Refuse methods that pad or fill a text to any length."""
        padding = getattr(obj, "__name__", "") in _PADDING
        return not padding and super().is_safe_callable(obj)

    def call_binop(self, _context: Any, operator: str, _left: Any, _right: Any) -> Any:
        """Refuse an operator whose result may be far larger than what it is applied to."""
        message = f"the operator {operator} is not allowed"
        raise SecurityError(message)


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
    names = _namespace(fields, files)
    sandbox = _Sandbox(undefined=StrictUndefined)
    for name in _FILLERS:
        sandbox.filters.pop(name)
    for kind, injector in injectors.items():
        for name in injector if kind == "env" else ():
            if refused := forbidden(name):
                return [refused]
        for name, value in injector.items():
            for template in _templates(value):
                if wrong := _problem(sandbox, (kind, name), template, names):
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


def _problem(
    sandbox: _Sandbox, place: tuple[str, str], template: str, names: Mapping[str, Any]
) -> str:
    kind, name = place
    try:
        sandbox.from_string(template).render(names)
    except UndefinedError as error:
        return f"{name} uses an undefined field ({error})"
    except SecurityError as error:
        return f"Encountered unsafe code execution: {error}"
    except TemplateSyntaxError as error:
        return f"Syntax error rendering template for {name} inside of {kind} ({error})"
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"{name} cannot be rendered ({type(error).__name__})"
    except RecursionError:
        return f"{name} cannot be rendered (nested too deeply)"
    return ""
