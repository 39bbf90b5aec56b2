"""The ``playlog`` command: parses arguments and hands over to one module a subcommand.

Imported lazily.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ops import settings, signals
from ops.settings import Settings

Arguments = argparse.Namespace


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.call(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"playlog: {error}", file=sys.stderr)
        return 2
    except _expected() as error:
        if "role" in arguments:
            raise
        print(f"playlog: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    return code


def _expected() -> tuple[type[Exception], ...]:
    """Return what goes wrong outside of the command: servers that do not answer, files, rights."""
    import nats.errors
    import nats.js.errors

    found: list[type[Exception]] = [OSError, RuntimeError, TimeoutError]
    found += [nats.errors.Error, nats.js.errors.Error]
    with contextlib.suppress(ImportError):
        import asyncpg

        found += [asyncpg.PostgresError, asyncpg.InterfaceError]
    return tuple(found)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    root = argparse.ArgumentParser(
        prog="playlog", description="An event-sourced control plane for Ansible."
    )
    root.add_argument("--version", action="version", version=f"playlog {settings.VERSION}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands)
    _add_roles(commands)
    _add_clients(commands)
    return root


def _add_up(commands: Any) -> None:
    up = commands.add_parser("up", help="run all roles on this machine, supervised")
    _data(up)
    up.add_argument("--port", type=int, help="HTTP port, 8052 when absent; 0 picks a free one")
    up.add_argument("--host", help="address to listen on, 127.0.0.1 when absent")
    up.add_argument("--runners", type=int, default=1, help="number of runner agents")
    up.add_argument("--admin-password-file", type=Path, help="file with the admin's password")
    up.add_argument("--nats-port", type=int, help="port of the embedded NATS; free when absent")
    up.add_argument("--postgres-port", type=int, help="port of the embedded Postgres")
    up.add_argument(
        "--accept-truncated",
        action="store_true",
        help="go on from a log that lost its end; read models are made anew from what is left",
    )
    _demo(up)
    up.set_defaults(call=_up)
    init = commands.add_parser(
        "init", help="make streams and first objects on the servers that the settings name"
    )
    _data(init)
    init.add_argument("--admin-password-file", type=Path, help="file with the admin's password")
    _demo(init)
    init.set_defaults(call=_init)


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--no-demo",
        dest="demo",
        action="store_false",
        help="leave the demo project, inventory, credential and job template out",
    )


def _add_roles(commands: Any) -> None:
    for role, text in (
        ("api", "serve the REST API and websockets"),
        ("projector", "build the read models in Postgres"),
        ("dispatcher", "run the process loops"),
        ("runner", "run jobs on this machine"),
    ):
        command = commands.add_parser(role, help=text)
        if role in {"dispatcher", "projector"}:
            command.add_argument("--only", metavar="NAME", help="run this one alone")
        command.set_defaults(call=_role, role=role, only=None)


def _add_clients(commands: Any) -> None:
    status = commands.add_parser("status", help="roles, streams, projections and runners")
    _data(status)
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(call=_status)
    tail = commands.add_parser("tail", help="a job's output from the first line, then live")
    _data(tail)
    tail.add_argument("job", type=int, help="job id")
    tail.set_defaults(call=_tail)
    replay = commands.add_parser("replay", help="the events themselves, and the folded state")
    _data(replay)
    replay.add_argument("--job", type=int, help="only this job")
    replay.add_argument(
        "--from", dest="first", type=int, default=1, metavar="SEQ", help="first position"
    )
    replay.add_argument("--until", metavar="SEQ|TIME", help="position, or ISO-8601 time")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.set_defaults(call=_replay)
    projections = commands.add_parser("projections", help="rebuild and mend read models")
    actions = projections.add_subparsers(required=True, metavar="ACTION")
    rebuild = actions.add_parser("rebuild", help="build beside, compare, switch")
    _data(rebuild)
    rebuild.add_argument("name", nargs="?", help="one projection; all when absent")
    rebuild.add_argument("--verify", action="store_true", help="compare only, do not switch")
    rebuild.set_defaults(call=_rebuild)
    retry = actions.add_parser("retry", help="apply again what was set aside in DEADLETTER")
    _data(retry)
    retry.add_argument("--drop", action="store_true", help="give up what still does not fit")
    retry.set_defaults(call=_retry)
    backup = commands.add_parser("backup", help="save the log while everything runs")
    _data(backup)
    backup.add_argument("directory", type=Path, metavar="DIR", help="new or empty directory")
    backup.add_argument(
        "--with-secrets", action="store_true", help="the master key and NATS identity too"
    )
    backup.set_defaults(call=_backup)
    restore = commands.add_parser("restore", help="put a backup onto empty servers, and compare")
    _data(restore)
    restore.add_argument("directory", type=Path, metavar="DIR", help="what `backup` wrote")
    restore.add_argument("--replace", action="store_true", help="drop what the servers hold before")
    restore.set_defaults(call=_restore)
    doctor = commands.add_parser("doctor", help="look for what is wrong and say what to do")
    _data(doctor)
    doctor.set_defaults(call=_doctor)


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, help="data directory (default: PLAYLOG_DATA)")


def _up(arguments: Arguments) -> int:
    from ops import telemetry
    from ops.cli import up

    telemetry.setup_logging("up", "WARNING")
    options = up.Options(
        data=arguments.data,
        host=arguments.host,
        port=arguments.port,
        runners=arguments.runners,
        admin_password_file=arguments.admin_password_file,
        nats_port=arguments.nats_port,
        postgres_port=arguments.postgres_port,
        accept_truncated=arguments.accept_truncated,
        demo=arguments.demo,
    )
    return asyncio.run(up.run(options))


def _init(arguments: Arguments) -> int:
    from ops.cli import bootstrap

    _quiet()
    told = arguments.data, arguments.admin_password_file
    return asyncio.run(bootstrap.init(*told, demo=arguments.demo))


def _role(arguments: Arguments) -> int:
    chosen = settings.read()
    signals.arm(chosen.kill_point)
    from ops import telemetry

    telemetry.setup_logging(arguments.role, chosen.log_level)
    if arguments.role == "runner":
        from runners.main import run_runner

        return run_runner(chosen)
    _run_loop(_role_main(arguments.role), chosen, arguments.only)
    return 0


def _role_main(role: str) -> Callable[[Settings, str | None], Coroutine[Any, Any, None]]:
    if role == "api":
        from controlplane.api.main import run_api

        return run_api
    if role == "projector":
        from projections.main import run_projector

        return run_projector
    from controlplane.processes.main import run_dispatcher

    return run_dispatcher


def _run_loop(
    program: Callable[[Settings, str | None], Coroutine[Any, Any, None]],
    chosen: Settings,
    only: str | None,
) -> None:
    import uvloop

    uvloop.run(program(chosen, only))


def _quiet() -> None:
    """Leave stdout to the answer: what libraries log on the way is said by the error itself."""
    from ops import telemetry

    telemetry.setup_logging("command", "CRITICAL")


def _status(arguments: Arguments) -> int:
    from ops.cli import status

    _quiet()

    return asyncio.run(status.run(arguments.data, as_json=arguments.json))


def _tail(arguments: Arguments) -> int:
    from ops.cli import tail

    _quiet()
    return asyncio.run(tail.run(arguments.data, arguments.job))


def _replay(arguments: Arguments) -> int:
    from ops.cli import replay

    _quiet()
    return asyncio.run(
        replay.run(
            arguments.data,
            replay.Selection.parse(arguments.job, arguments.first, arguments.until),
            as_json=arguments.json,
        )
    )


def _rebuild(arguments: Arguments) -> int:
    from ops.cli import rebuild

    _quiet()
    return asyncio.run(rebuild.run(arguments.data, arguments.name, verify=arguments.verify))


def _retry(arguments: Arguments) -> int:
    from ops.cli import rebuild

    return asyncio.run(rebuild.retry(arguments.data, drop=arguments.drop))


def _backup(arguments: Arguments) -> int:
    from ops.cli import backup

    _quiet()
    return asyncio.run(
        backup.run(arguments.data, arguments.directory, with_secrets=arguments.with_secrets)
    )


def _restore(arguments: Arguments) -> int:
    from ops.cli import restore

    _quiet()
    return asyncio.run(restore.run(arguments.data, arguments.directory, replace=arguments.replace))


def _doctor(arguments: Arguments) -> int:
    from ops.cli import doctor

    _quiet()
    return asyncio.run(doctor.run(arguments.data))


if __name__ == "__main__":
    sys.exit(main())
