"""The unmodified ``awx`` command, many times: each in a fork of a process that has imported it.

Importing awxkit takes longer than most commands. ``Kit`` speaks lines of JSON with ``main``, which
runs in a process of its own and forks for each command, so that none sees another's state.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from typing import Any

from tests.deployment.conftest import PASSWORD, ROOT

COMMON = ("--conf.insecure", "-f", "json", "--conf.color", "f")


class Kit:
    """The command as the superuser of one Playlog."""

    def __init__(self, url: str, password: str = PASSWORD) -> None:
        """Start the process that forks."""
        self.login = (
            *("--conf.host", url, "--conf.username", "admin", "--conf.password", password),
            *COMMON,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.compat.kit"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def ended(self, *arguments: str, given: str = "") -> tuple[int, str, str]:
        """Run a command however it ends; returns its exit code, stdout and stderr."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": [*self.login, *arguments], "given": given}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code, out, problem = json.loads(self._process.stdout.readline())
        return code, out, problem

    def text(self, *arguments: str, given: str = "") -> str:
        """Run a command that must succeed; returns what it printed."""
        code, out, problem = self.ended(*arguments, given=given)
        assert code == 0, f"{arguments}: {out}\n{problem}"
        return out

    def run(self, *arguments: str, given: str = "") -> Any:
        """Run a command that must succeed; returns its JSON, or None without output."""
        out = self.text(*arguments, given=given)
        return json.loads(out) if out.strip() else None


def main() -> None:
    """Run each command that stdin orders, and say how it ended."""
    warnings.simplefilter("ignore")
    import awxkit.cli  # noqa: F401 - what the forks share

    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as problem:
            child = os.fork()
            if child == 0:
                _become(order, out.fileno(), problem.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = []
            for each in (out, problem):
                each.seek(0)
                texts.append(each.read().decode())
        print(json.dumps([code, *texts]), flush=True)


def _become(order: dict[str, Any], out: int, problem: int) -> None:
    """Be the command, as its script starts it, to the end of the process."""
    import awxkit.cli

    given = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
    given.write(order["given"])
    given.seek(0)
    os.dup2(given.fileno(), 0)
    os.dup2(out, 1)
    os.dup2(problem, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.argv = ["awx", *order["arguments"]]
    code = 0
    try:
        awxkit.cli.run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
