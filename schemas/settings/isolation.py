"""Settings of how jobs are kept apart on runners; AWX has none of these."""

from __future__ import annotations

from schemas.settings.setting import declare, one_of, whole

_READER = "controlplane.processes.work_order"

declare(
    "isolation",
    "Isolation",
    [
        one_of(
            "ISOLATION_REQUIRED",
            "What Jobs Must Not Run Without",
            "A job that no runner of its groups can keep apart so waits until one can. Jobs that"
            " name no execution environment run in a sandbox at the best.",
            (
                ("", "Nothing: a runner keeps jobs apart as well as its machine can"),
                ("sandbox", "A container or a sandbox"),
                ("environment", "The execution environment that the job names, or a sandbox"),
            ),
            default="",
            reader=_READER,
        ),
        whole(
            "JOB_MEMORY_MAX_MB",
            "Memory of a Job",
            "Megabytes that all processes of a job may use on its runner; 0 sets no limit.",
            default=0,
            low=0,
            high=1 << 30,
            reader=_READER,
        ),
        whole(
            "JOB_PROCESSES_MAX",
            "Processes of a Job",
            "Processes that a job may have on its runner at a time; 0 sets no limit.",
            default=0,
            low=0,
            high=1 << 22,
            reader=_READER,
        ),
        whole(
            "JOB_CPU_PERCENT_MAX",
            "Processor Time of a Job",
            "Hundredths of one processor that a job may use on its runner; 0 sets no limit.",
            default=0,
            low=0,
            high=1 << 20,
            reader=_READER,
        ),
    ],
)
