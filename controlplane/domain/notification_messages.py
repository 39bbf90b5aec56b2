"""What the messages of a notification template may say: Jinja over fields that will exist.

Nothing is rendered: a template's names are read off its syntax tree, so that no loop of a message
costs the control plane anything. Nor is it compiled, for Jinja works constants out as it does so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from schemas.notification_types import APPROVAL_EVENTS, EVENTS

VARIABLES = frozenset(
    {
        "job",
        "job_friendly_name",
        "url",
        "job_metadata",
        "approval_node_name",
        "approval_status",
        "workflow_url",
    }
)
_JOB_WORDS = (
    "id type url created modified name description job_type playbook forks limit verbosity"
    " job_tags force_handlers skip_tags start_at_task timeout use_fact_cache launch_type status"
    " failed started finished elapsed job_explanation execution_node controller_node"
    " allow_simultaneous scm_revision diff_mode job_slice_number job_slice_count"
    " execution_environment host_status_counts summary_fields artifacts approval_status"
    " approval_node_name workflow_url scm_branch extra_vars result_traceback"
)
JOB_FIELDS = frozenset(_JOB_WORDS.split())
"""What a message may ask of ``job``."""
KINDS = ("message", "body")
_GIVEN = frozenset({"loop", "self", "caller", "varargs", "kwargs"})
"""Names that Jinja's own statements bring."""
TEMPLATES_MAX = 20_000
"""Characters of all texts with something to fill in: Jinja takes a while to read them."""
TOO_LONG = f"Messages with more than {TEMPLATES_MAX} characters of templates are not allowed"
_ENVIRONMENT = Environment(autoescape=True)


def problems(messages: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the messages of a template, in AWX's words."""
    if sum(len(each) for each in _all_texts(messages) if "{" in each) > TEMPLATES_MAX:
        yield TOO_LONG
        return
    for event, texts in messages.items():
        if event not in EVENTS:
            *others, last = (repr(each) for each in EVENTS)
            yield f"Event '{event}' invalid, must be one of {', '.join(others)}, or {last}"
        elif texts is None:
            continue
        elif not isinstance(texts, dict):
            yield f"Expected dict for event '{event}', found {type(texts).__name__}"
        elif event == "workflow_approval":
            yield from _approval(texts)
        else:
            yield from _texts(event, texts)


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _all_texts(each)


def _approval(events: dict[str, Any]) -> Iterator[str]:
    for event, texts in events.items():
        if event not in APPROVAL_EVENTS:
            *others, last = (repr(each) for each in APPROVAL_EVENTS)
            yield (
                f"Workflow Approval event '{event}' invalid, must be one of"
                f" {', '.join(others)}, or {last}"
            )
        elif texts is None:
            continue
        elif not isinstance(texts, dict):
            found = type(texts).__name__
            yield f"Expected dict for workflow approval event '{event}', found {found}"
        else:
            yield from _texts(event, texts)


def _texts(event: str, texts: dict[str, Any]) -> Iterator[str]:
    for kind, text in texts.items():
        if kind not in KINDS:
            yield f"Message type '{kind}' invalid, must be either 'message' or 'body'"
        elif text is None:
            continue
        elif not isinstance(text, str):
            yield f"Expected string for '{kind}', found {type(text).__name__}"
        elif kind == "message" and "\n" in text:
            yield f"Messages cannot contain newlines (found newline in {event} event)"
        else:
            yield from _fields(text)


def _fields(text: str) -> Iterator[str]:
    if "{" not in text:
        return
    try:
        tree = _ENVIRONMENT.parse(text)
        unknown = _free_names(tree) - VARIABLES
    except (TemplateSyntaxError, RecursionError) as error:
        yield f"Unable to render message '{text}': {error}"
        return
    for name in sorted(unknown):
        yield f"Field '{name}' unavailable"
    asked = {_asked(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem))}
    for name in sorted(asked - JOB_FIELDS - {""}):
        yield f"Field '{name}' unavailable"


def _free_names(tree: nodes.Template) -> set[str]:
    """Return the names that a template does not set itself; raises for an unknown filter."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        known = _ENVIRONMENT.filters if isinstance(node, nodes.Filter) else _ENVIRONMENT.tests
        if node.name not in known:
            raise TemplateSyntaxError(f"No filter or test named {node.name!r}.", node.lineno)
    names = list(tree.find_all(nodes.Name))
    own = {each.name for each in names if each.ctx != "load"}
    return {each.name for each in names if each.ctx == "load"} - own - _GIVEN


def _asked(node: nodes.Expr) -> str:
    """Return the field that an expression asks of ``job``, or nothing."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return ""
    if not isinstance(node.node, nodes.Name) or node.node.name != "job":
        return ""
    if isinstance(node, nodes.Getattr):
        return node.attr
    return str(node.arg.value) if isinstance(node.arg, nodes.Const) else "[]"
