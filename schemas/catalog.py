"""Importing this module registers every tag of every stored event; whoever decodes imports it."""

from __future__ import annotations

from schemas import resources
from schemas.events import access, activity, host_metric, instance, job, resource, setting

EVENTS = (access, activity, host_metric, instance, job, resource, setting, resources)
