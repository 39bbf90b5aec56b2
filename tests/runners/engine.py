"""A container engine that works on a bare CI machine, and an image that borrows its programs.

As root without CAP_SYS_RESOURCE, and where both versions of control groups are mounted, podman
starts no container as it is installed: it is told of lower limits and put into a mount namespace
that has the second version only.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

from runners.isolation.plan import Engine

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IMAGE = f"localhost/playlog-tests:{hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]}"
"""Its PATH leads to this clone's Ansible."""
_CONF = """[containers]
cgroups="disabled"
netns="none"
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
[engine]
cgroup_manager="cgroupfs"
runtime="crun"
"""
_PODMAN = """#!/bin/sh
exec unshare -m --propagation private sh -c '
umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec /usr/bin/podman "$@"
' podman "$@"
"""
BORROWED = tuple(
    f"--volume={each}:{each}:ro" for each in dict.fromkeys(("/usr", sys.base_prefix, sys.prefix))
)
"""Options that show a container the machine's programs and Ansible."""


def make_engine(directory: Path) -> Engine:
    """Write the wrapper; import the image where it is not yet."""
    conf, program = directory / "containers.conf", directory / "podman"
    conf.write_text(_CONF)
    program.write_text(_PODMAN)
    program.chmod(0o755)
    env = {"CONTAINERS_CONF": str(conf), "PATH": _PATH, "HOME": str(directory)}
    engine = Engine(program=str(program), env=env, cgroups=False)
    if IMAGE not in podman(engine, "images", "--format", "{{.Repository}}:{{.Tag}}").split():
        change = f"--change=ENV PATH={sys.prefix}/bin:{_PATH}"
        podman(engine, "import", "--quiet", change, "-", IMAGE, given=root_tar())
    return engine


def podman(engine: Engine, *args: str, given: bytes = b"") -> str:
    """Run the engine; returns what it prints."""
    done = subprocess.run(
        [engine.program, *args], env=engine.env, input=given, capture_output=True, check=True
    )
    return done.stdout.decode()


def root_tar() -> bytes:
    """Return a root file system without programs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("etc", "usr", "tmp", "root"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(member)
        for name in ("bin", "sbin", "lib", "lib64"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(member)
        passwd = b"root:x:0:0:root:/root:/bin/sh\n"
        member = tarfile.TarInfo("etc/passwd")
        member.size = len(passwd)
        archive.addfile(member, io.BytesIO(passwd))
    return buffer.getvalue()
