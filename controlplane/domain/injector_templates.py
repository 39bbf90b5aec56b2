"""Trying a credential type's templates on made-up values, in the language's sandbox.

It happens where requests are answered: their language (``schemas/injector_language.py``) bounds
what they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError

from schemas.injector_language import BRACE, Sandbox, compiled

EXAMPLE = "EXAMPLE"
MANY_FILES = "Must use multi-file syntax when injecting multiple files"
NO_FILE = "Must define unnamed file injector in order to reference `tower.filename`."
RESERVED = "Cannot directly reference reserved `tower` namespace container."
TOTAL_MAX = 8_000
"""Characters of all templates together: Jinja takes a while to read them."""
TOO_LONG = f"Templates of more than {TOTAL_MAX} characters are not allowed."


class _Exploding(SimpleNamespace):
    """A name that may be looked into but not written out."""

    def __init__(self, name: str, message: str) -> None:
        """Say how a template calls it and what is wrong with writing it out."""
        super().__init__()
        self._name = name
        self._message = message

    def __getattr__(self, name: str) -> StrictUndefined:
        if name.startswith("_"):
            raise AttributeError(name)
        return StrictUndefined(name=f"{self._name}.{name}")

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
    sandbox = Sandbox(StrictUndefined)
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
    tower = _Exploding("tower", RESERVED)
    tower.filename = _Exploding("tower.filename", NO_FILE)
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
    sandbox: Sandbox, place: tuple[str, str], template: str, names: Mapping[str, Any]
) -> str:
    kind, name = place
    if BRACE not in template:
        return ""
    try:
        compiled(sandbox, template).render(names)
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
