"""Importing this module registers every tag of every stored event; whoever decodes imports it."""

from __future__ import annotations

from schemas import resources
from schemas.events import access, host_metric, instance, job, resource, setting

EVENTS = (access, host_metric, instance, job, resource, setting, resources)
