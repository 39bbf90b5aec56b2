"""Keeping a job apart: in a container, in a sandbox, or in its workspace alone.

| module | does |
|---|---|
| ``abilities`` | finds out, once, what works on this machine |
| ``plan`` | decides how an attempt runs here (pure) |
| ``container``, ``sandbox`` | the command line that a job's command is put behind |
| ``apart_env`` | keeps a job's environment from what starts it |
| ``sight`` | what of the machine a job sees |
| ``around`` | what the supervisor does before and after the run |
| ``images`` | pulls an execution environment's image, removes containers |
| ``limits`` | control groups |
| ``remains`` | removes what is left of attempts whose supervisor died |
"""
