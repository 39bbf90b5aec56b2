"""What an ad hoc command is asked for with: one module, run on hosts of an inventory."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.resource import Choices, Ref, fields_of
from schemas.resources.choices import JOB_TYPES, VERBOSITIES


class AdHocRequest(Struct, frozen=True, kw_only=True):
    """The body of a request; which modules there are is a setting."""

    job_type: Annotated[str, Choices(JOB_TYPES)] = "run"
    inventory: Annotated[int | None, Ref("inventory")] = None
    limit: str = ""
    credential: Annotated[int | None, Ref("credential")] = None
    module_name: str = "command"
    module_args: str = ""
    forks: Annotated[int, Meta(ge=0)] = 0
    verbosity: Annotated[int, Choices(VERBOSITIES)] = 0
    extra_vars: str = ""
    become_enabled: bool = False
    diff_mode: bool = False
    execution_environment: Annotated[int | None, Ref("execution_environment")] = None


FIELDS = fields_of(AdHocRequest)
