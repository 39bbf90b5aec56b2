"""A job in bubblewrap: the runner's own environment, and of its machine only what a job needs.

Its own processes, messages, ``/tmp``, ``/dev/shm`` and ``/run``; of files the system's programs and
the job's own directories. The network is the machine's. There is no ``--die-with-parent``: a job
outlives its supervisor.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runners.isolation import sight
from runners.isolation.sight import Mount
from runners.preparation import Preparation

PROBE_WITHIN_S = 20.0
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Of the root directory; links to ``/usr`` on most systems."""
_ETC = (
    *("alternatives", "ansible", "ca-certificates", "crypto-policies", "debian_version"),
    *("gai.conf", "group", "host.conf", "hostname", "hosts", "krb5.conf", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "login.defs"),
    *("machine-id", "mime.types", "networks", "nsswitch.conf", "os-release", "passwd"),
    *("pki/ca-trust", "pki/tls/cert.pem", "pki/tls/certs", "pki/tls/openssl.cnf"),
    *("protocols", "python3", "redhat-release", "resolv.conf", "rpc", "services", "shells"),
    *("ssh/ssh_config", "ssh/ssh_config.d", "ssh/ssh_known_hosts", "ssl/certs", "ssl/openssl.cnf"),
    *("terminfo", "timezone"),
)
"""What programs read there that is no secret; ``/etc`` itself is the agent's too."""
_SYS = ("block", "bus", "class", "dev", "devices", "module")
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
"""What root keeps of its powers, where the agent is root: those of root in a container."""


def arguments(job: Preparation) -> list[str]:
    """Return bubblewrap's command line up to the command."""
    given = [*sight.interpreter(), *sight.plugins(), *sight.shown(job.spec.isolation.mounts)]
    return _around(job, given, sight.workspace(job), job.invocation.project)


def around_tool(job: Preparation, at: Path, kept: Sequence[Path]) -> list[str]:
    """Return bubblewrap's command line for a program of a project update, that runs at ``at``.

    It sees the update's own directories, ``kept`` of the caches, and a local source with what lies
    around it, where its submodules and roles are.
    """
    given = [*sight.interpreter(), *sight.tools(), *sight.shown(job.spec.isolation.mounts)]
    own = sight.update(job, kept)
    if source := sight.local_source(job):
        own.insert(0, Mount(source=source, target=source))
        given += [Mount(source=each, target=each) for each in sight.around(source)]
    return _around(job, given, own, at)


def _around(job: Preparation, given: Sequence[Mount], own: Sequence[Mount], at: Path) -> list[str]:
    data = job.dir.resolve().parent.parent
    over = [each.target for each in given if data.is_relative_to(each.target)]
    hidden = ["--tmpfs", str(data)] if over or data.is_relative_to("/usr") else []
    return [
        *base(job.spec.isolation.sandbox),
        *(each for mount in given for each in _bind(mount)),
        *hidden,
        *(each for mount in own for each in _bind(mount)),
        *("--remount-ro", "/", "--chdir", str(at)),
    ]


def base(program: str) -> list[str]:
    """Return the part that is the same for every job."""
    args = [program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    args += ["--cap-drop", "ALL"]
    for each in _CAPABILITIES if os.geteuid() == 0 else ():
        args += ["--cap-add", f"CAP_{each}"]
    args += ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        args += _system(Path("/", name))
    args += ["--proc", "/proc", "--dev", "/dev"]
    for each in ("/etc", "/sys", "/var"):
        args += ["--perms", "0755", "--dir", each]
    for each in ("/tmp", "/var/tmp"):  # noqa: S108 - the sandbox's own
        args += ["--perms", "1777", "--tmpfs", each]
    for each in dict.fromkeys(("/run", "/home", "/root", _home())):
        args += ["--tmpfs", each]
    args += ["--symlink", "/run", "/var/run"]
    for name in _ETC:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in _SYS:
        args += ["--ro-bind-try", f"/sys/{name}", f"/sys/{name}"]
    return args


def problem(program: str) -> str:
    """Return why bubblewrap does not work here; empty when it does."""
    command = [*base(program), "--remount-ro", "/", "true"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PROBE_WITHIN_S, check=False, env={}
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"


def _home() -> str:
    """Return where Ansible looks for the home of who runs it: not in HOME, in ``passwd``."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/root"


def _system(place: Path) -> Sequence[str]:
    if place.is_symlink():
        return ("--symlink", str(place.readlink()), str(place))
    return ("--ro-bind-try", str(place), str(place))


def _bind(mount: Mount) -> Sequence[str]:
    kind = "--bind" if mount.writable else "--ro-bind"
    return (kind, str(mount.source), str(mount.target))
