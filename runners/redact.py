"""Which texts stand for a secret, and how they are masked in what leaves the runner.

A secret is masked as it was given and as it appears within JSON, within a quoted JSON text, within
a quoted text of YAML, within a list that was made a text, and within a URL. Of a secret of several
lines (a key, a certificate) each line of 8 characters or more is masked as well, because output is
coloured and indented line by line; its ``-----BEGIN`` and ``-----END`` lines are not secret. A
value shorter than 3 characters is not masked: it would make output unreadable and still be guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from runners.frames import Mask

SECRET_CHARS_MIN = 3
LINE_CHARS_MIN = 8


def variants(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return every text by which one of these secrets may show itself."""
    found: set[str] = set()
    for secret in secrets:
        for part in _parts(secret):
            forms = {part, repr(part)[1:-1], part.replace("'", "''")}
            found |= {quote(part, safe=""), *forms}
            found |= {
                json.dumps(form, ensure_ascii=ascii_only)[1:-1]
                for form in forms
                for ascii_only in (True, False)
            }
    return tuple(sorted(found))


def mask_of(secrets: Iterable[str]) -> Mask:
    """Return the mask of these secrets."""
    return Mask(variants(secrets))


def _parts(secret: str) -> set[str]:
    whole = secret.strip()
    if len(whole) < SECRET_CHARS_MIN:
        return set()
    lines = [line.strip() for line in whole.splitlines()]
    if len(lines) == 1:
        return {whole, secret}
    long_lines = {
        each for each in lines if len(each) >= LINE_CHARS_MIN and not each.startswith("-----")
    }
    return {whole} | long_lines
