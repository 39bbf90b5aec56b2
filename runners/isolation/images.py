"""The images of execution environments: pulled before a job starts, its container gone after."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable

from runners.isolation.plan import Engine
from runners.preparation import Preparation, Unrunnable
from runners.process_tree import MARK, mark_of
from runners.spec import write_private
from schemas.work import RegistryLogin

AUTH_FILE = "registry.json"
POLL_S = 0.2
ANSWER_WITHIN_S = 60.0


def provide(job: Preparation, stop: Callable[[], bool]) -> None:
    """See to it that the image is here, as its pull policy says.

    Ends early when ``stop`` says so. Raises Unrunnable.
    """
    isolation = job.spec.isolation
    engine, image = isolation.engine, isolation.image
    if engine is None:
        return
    if isolation.pull != "always" and _ask(engine, "image", "exists", image).returncode == 0:
        return
    if isolation.pull == "never":
        text = "is not on this runner, and its pull policy is never"
        raise Unrunnable(f"Execution environment image {image} {text}")
    code, problem = _pull(job, engine, stop)
    if code != 0 and not stop():
        raise Unrunnable(f"Execution environment image {image} cannot be pulled: {problem}")


def remove(engine: Engine, name: str) -> None:
    """Remove a container and whatever still runs in it; harmless when it is gone."""
    _ask(engine, "rm", "--force", "--ignore", "--time=0", name)


def left(engine: Engine, label: str) -> list[str]:
    """Return the names of containers with a label, ended ones too."""
    args = ("ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}")
    return _ask(engine, *args).stdout.decode(errors="replace").split()


def _pull(job: Preparation, engine: Engine, stop: Callable[[], bool]) -> tuple[int, str]:
    try:
        return _pulled(job, engine, stop)
    finally:
        (job.memory / AUTH_FILE).unlink(missing_ok=True)  # the job is to see all that lies there


def _pulled(job: Preparation, engine: Engine, stop: Callable[[], bool]) -> tuple[int, str]:
    isolation, login = job.spec.isolation, job.secrets.registry
    args = ["pull", "--quiet"]
    if login is not None:
        authfile = job.memory / AUTH_FILE
        write_private(authfile, _auth(login, isolation.image))
        args += ["--authfile", str(authfile), f"--tls-verify={str(login.verify_ssl).lower()}"]
    with subprocess.Popen(
        [engine.program, *args, isolation.image],
        env={**engine.env, MARK: mark_of(job.dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as pulling:
        while True:
            try:
                _, told = pulling.communicate(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                if stop():
                    pulling.terminate()
                continue
            break
    lines = told.decode(errors="replace").strip().splitlines()
    return pulling.returncode, job.mask.text(lines[-1]) if lines else "no reason was given"


def _auth(login: RegistryLogin, image: str) -> bytes:
    """Return the file that podman reads logins from; a credential may name no host."""
    host = login.host.rpartition("://")[2].rstrip("/") or image.partition("/")[0]
    pair = f"{login.username}:{login.password}".encode()
    return json.dumps({"auths": {host: {"auth": base64.b64encode(pair).decode()}}}).encode()


def _ask(engine: Engine, *args: str) -> subprocess.CompletedProcess[bytes]:
    command = [engine.program, *args]
    try:
        return subprocess.run(
            command, env=engine.env, capture_output=True, timeout=ANSWER_WITHIN_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(command, 1, b"", str(error).encode())
