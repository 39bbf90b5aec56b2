"""Reading YAML that anybody may have written."""

from __future__ import annotations

import yaml

UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What a loader raises for a text that is no YAML.

Its constructors of numbers, dates and booleans let through what they stumble over: ``!!int ""``.
"""
