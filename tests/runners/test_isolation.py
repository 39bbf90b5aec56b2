"""A job kept apart sees its own directories and nothing of others', of the agent or of secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from runners.isolation.plan import Isolation
from runners.preparation import artifacts_dir, memory_dir
from tests.runners import engine as containers
from tests.runners.rig import Rig, play

pytestmark = [pytest.mark.tier_bwrap, pytest.mark.tier_podman]

_HOSTILE = """
cat {key} {other} {memory}
cat /proc/{agent}/environ /proc/*/environ | tr '\\\\0' '\\\\n' | grep -a planted
find {data} /dev/shm -name '*planted*' -exec cat {{}} +
mknod $HOME/disk b {major} {minor} && head -c 1 $HOME/disk >/dev/null && echo opened-disk
unshare --mount true && echo may-mount
kill -0 {agent} && echo reached-agent
cat /etc/shadow && echo read-shadow
test -e {upstream} && echo sees-upstream
echo given > kept.txt && cat kept.txt $HOME/../spec.json
true
"""


class Planted(Struct, frozen=True):
    """Secrets on this machine that are none of a job's, and who holds one in its environment."""

    key: Path
    other: Path
    memory: Path
    agent: int


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Isolation]:
    """Every mode."""
    engine = containers.make_engine(tmp_path_factory.mktemp("engine"))
    options = ("--network=host", *containers.BORROWED)
    return {
        "none": Isolation(),
        "sandbox": Isolation(mode="sandbox", sandbox=shutil.which("bwrap") or ""),
        "container": Isolation(
            mode="container", engine=engine, image=containers.IMAGE, options=options
        ),
    }


@pytest.fixture
def planted(rig: Rig) -> Iterator[Planted]:
    """What a job of the rig is not to find."""
    data = rig.dir.parent.parent
    key, other = data / "secrets" / "planted.key", rig.dir.parent / "1-1" / "planted.json"
    memory = memory_dir(other.parent) / "planted.json"
    for number, each in enumerate((key, other, memory)):
        each.parent.mkdir(mode=0o700, parents=True)
        each.write_text(f"planted-secret-{number}")
    agent = subprocess.Popen(["/usr/bin/sleep", "1000"], env={"KEY": "planted-secret-agent"})
    yield Planted(key, other, memory, agent.pid)
    agent.kill()
    agent.wait()
    shutil.rmtree(memory.parent)


@pytest.mark.parametrize("mode", ["none", "sandbox", "container"])
def test_a_hostile_job_finds_only_its_own(
    rig: Rig, planted: Planted, apart: dict[str, Isolation], mode: str
) -> None:
    """What a plain process of the same user can read stays hidden in a sandbox or container."""
    device = rig.dir.parent.parent.stat().st_dev
    script = _HOSTILE.format(
        data=rig.dir.parent.parent,
        key=planted.key,
        other=planted.other,
        memory=planted.memory,
        agent=planted.agent,
        upstream=artifacts_dir(rig.dir),
        major=os.major(device),
        minor=os.minor(device),
    )
    task = '{shell: "' + script.replace("\n", ";").strip(";").replace('"', "'") + '", name: look}'
    rig.write(play(task), isolation=apart[mode])
    final = rig.run()
    assert final.status == "successful", rig.stdout()
    (result,) = rig.results("runner_on_ok", "look")
    seen = result["stdout"]
    assert "given" in seen
    assert f'"job":{rig.job}' in seen
    found = [f"planted-secret-{each}" for each in (0, 1, 2, "agent")]
    if mode == "none":
        assert all(each in seen for each in (*found, "sees-upstream"))
        return
    assert "planted" not in seen
    for each in ("opened-disk", "may-mount", "reached-agent", "read-shadow", "sees-upstream"):
        assert each not in seen.splitlines()
