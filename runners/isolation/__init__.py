"""Keeping a job apart: in a container, in a sandbox, or in its workspace alone.

| module | does |
|---|---|
| ``abilities`` | finds out, once, what works on this machine |
| ``plan`` | decides how an attempt runs here (pure) |
| ``container``, ``sandbox`` | the command line that a job's command is put behind |
| ``images`` | pulls an execution environment's image, ends what a container left |
| ``limits`` | control groups |
"""
