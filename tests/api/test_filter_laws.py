"""Laws of the filter compiler and of pages, without a database."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import controlplane.api.token_routes  # noqa: F401 - registers the table of tokens
import schemas.resources  # noqa: F401 - declares every kind
from controlplane.api import filters, named_urls, pagination
from controlplane.api.errors import Refusal
from controlplane.api.job_tables import register_job_tables
from controlplane.api.tables import table_of
from controlplane.api.where import Statement
from schemas.resource import RESOURCES

LOOKUPS = sorted(filters.LOOKUPS - {"in", "isnull", "search"})


def compiled(kind: str, name: str, value: str) -> tuple[str, list[object]]:
    """Return the SQL and the bound values of one filter."""
    statement = Statement()
    sql = statement.condition(filters.condition(table_of(kind), [(name, value)]), "t")
    return sql, statement.args


def status_of(kind: str, name: str, value: str) -> int:
    """Return the status a filter is refused with, or 0 when it compiles."""
    try:
        compiled(kind, name, value)
    except Refusal as refusal:
        return refusal.status
    return 0


@given(value=st.text(), lookup=st.sampled_from(LOOKUPS))
def test_no_value_becomes_part_of_the_sql(value: str, lookup: str) -> None:
    """The SQL of a filter is the same whatever is looked for: every value is bound."""
    reference, _ = compiled("host", f"name__{lookup}", "reference")
    found, args = compiled("host", f"name__{lookup}", value)
    assert found == reference
    assert len(args) == 1


@given(name=st.text(max_size=40), value=st.text(max_size=10))
def test_any_query_is_compiled_or_refused(name: str, value: str) -> None:
    """Whatever stands in a query string gives SQL or a refusal, never another error."""
    assert status_of("host", name, value) in (0, 400, 403)


@given(words=st.lists(st.sampled_from(["inventory", "groups", "hosts", "name", "id", "in", "not"])))
def test_any_path_is_compiled_or_refused(words: list[str]) -> None:
    """Paths that loop or lead nowhere are refused."""
    assert status_of("host", "__".join(words), "1") in (0, 400, 403)


@pytest.mark.parametrize("kind", sorted(RESOURCES))
def test_every_field_can_be_ordered_by_and_secrets_cannot(kind: str) -> None:
    """Ordering knows every shown column; by a secret it is refused."""
    table = table_of(kind)
    for name, column in table.columns.items():
        if column.secret:
            with pytest.raises(Refusal):
                filters.orderings(table, [("order_by", name)])
        elif "__" not in name:
            assert filters.orderings(table, [("order_by", f"-{name}")])[0].descending


@given(
    number=st.integers(1, 40),
    size=st.integers(1, 200),
    count=st.integers(0, 5000),
    extra=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=3),
)
def test_links_keep_parameters_and_lead_to_neighbours(
    number: int, size: int, count: int, extra: list[tuple[str, str]]
) -> None:
    """Following next and previous changes the page and nothing else."""
    kept = [pair for pair in extra if pair[0] not in ("page", "page_size", "count_disabled")]
    pairs = [*kept, ("page", str(number)), ("page_size", str(size))]
    page = pagination.read(pairs)
    if number > 1 and (number - 1) * size >= count:
        with pytest.raises(Refusal):
            pagination.envelope(page, "/x/", pairs, count, [])
        return
    body = pagination.envelope(page, "/x/", pairs, count, [])
    assert (body["next"] is None) == (number * size >= count)
    assert (body["previous"] is None) == (number == 1)
    for link, neighbour in ((body["next"], number + 1), (body["previous"], number - 1)):
        if link is not None:
            there = parse_qsl(urlsplit(link).query, keep_blank_values=True)
            assert pagination.read(there).number == neighbour
            assert sorted(p for p in there if p[0] != "page") == sorted(
                p for p in pairs if p[0] != "page"
            )


@given(name=st.text(min_size=1, max_size=30).filter(lambda text: "\x00" not in text))
def test_named_urls_escape_every_separator(name: str) -> None:
    """A name's plus signs never read as a border between parts."""
    row = {"id": 1, "name": name}
    segment = named_urls.encode("project", row, {"organization.name": "acme"})
    assert segment.endswith("++acme")
    assert "++" not in segment.removesuffix("++acme").replace("[+]", "")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("organization", "created_by__search"),
        ("group", "parents__name"),
        ("credential", "job_templates__name"),
        ("credential", "organization__name"),
        ("execution_environment", "organization__name"),
        ("job_template", "last_job__status"),
        ("job_template", "jobs__status"),
        ("host", "last_job_host_summary__failed"),
        ("unified_job", "job__playbook"),
        ("unified_job", "unified_job_template__name"),
        ("job", "elapsed__gt"),
        ("job", "labels__name"),
        ("token", "user"),
    ],
)
def test_relations_are_followed_in_both_directions(kind: str, name: str) -> None:
    """What AWX's clients filter by through relations compiles, forward and back."""
    register_job_tables()
    value = "true" if name.endswith("failed") else "1"
    assert status_of(kind, name, value) == 0


def test_type_picks_rows_of_a_mixed_list() -> None:
    """``type`` is a filter where a list holds several kinds, and means nothing elsewhere."""
    register_job_tables()
    assert compiled("unified_job", "type", "job,project_update")[1] == [["job", "project_update"]]
    assert compiled("job_template", "type", "job_template")[1] == []


def test_a_field_that_names_another_kind_leads_to_its_own() -> None:
    """``organization`` of a credential is its own, whatever else links the two kinds."""
    assert not table_of("credential").relations["organization"].many
