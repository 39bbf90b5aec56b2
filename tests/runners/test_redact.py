"""Which texts stand for a secret."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from runners.frames import MASK
from runners.redact import mask_of, variants

KEY = "-----BEGIN KEY-----\nAAAABBBBCCCC\nddddeeeeffff\nx=\n-----END KEY-----\n"


def test_each_line_of_a_key_is_masked() -> None:
    """A key's lines are masked wherever they stand; its armour and scraps are no secret."""
    mask = mask_of([KEY])
    assert mask.text("  ddddeeeeffff  ") == f"  {MASK}  "
    assert mask.text(f"x{KEY}y") == f"x{MASK}\ny"
    assert mask.text("-----BEGIN KEY----- x=") == "-----BEGIN KEY----- x="


def test_too_short_values_are_not_masked() -> None:
    """Masking 'ab' would make output unreadable and still be guessed."""
    assert variants(["ab", "", "   ", " a "]) == ()


def test_longer_secrets_go_first() -> None:
    """A secret within another does not leave the rest of the other in the open."""
    assert mask_of(["pass", "password1"]).text("password1 pass") == f"{MASK} {MASK}"


def test_a_mask_is_not_masked_again() -> None:
    """A secret that is a part of the mask's own text does not spoil masks."""
    assert mask_of(["crypt", "hunter2"]).text("hunter2") == MASK


@given(st.text(min_size=3).filter(lambda text: len(text.strip()) > 2), st.text(), st.text())
def test_forms_of_a_secret(secret: str, before: str, after: str) -> None:
    """A secret is found within JSON, within a URL and as it is."""
    mask = mask_of([secret])
    whole = secret.strip()
    for form in (whole, quote(whole, safe=""), json.dumps(whole)[1:-1]):
        assert MASK in mask.text(before + form + after)


@given(st.text("ab", min_size=3, max_size=6), st.lists(st.text("ab", max_size=4)))
def test_borders_between_pieces_hide_nothing(secret: str, pieces: list[str]) -> None:
    """What was printed in pieces is masked as one text: no border hides a secret."""
    shown = mask_of([secret]).text("".join(pieces))
    assert secret not in shown.replace(MASK, "\n")
