"""The playlog command: where nothing runs, told nonsense, and on servers of one's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ops import settings
from ops.cli.deployment import with_private_logins
from tests.deployment.conftest import PASSWORD, PLAYLOG, ROOT
from tests.servers import NatsServer, PostgresServer, free_port

pytestmark = pytest.mark.timeout(180)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, within bounds."""
    return subprocess.run(
        [*PLAYLOG, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_version_is_the_distribution_s() -> None:
    """``--version`` says what ``pyproject.toml`` says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"playlog {project['version']}\n"


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["tail", "1"], ["replay"], ["projections", "rebuild", "--verify"], ["doctor"]],
)
def test_a_command_without_a_deployment_says_so(arguments: list[str], directory: Path) -> None:
    """Where ``up`` never ran it ends at once; where no server answers, too."""
    done = run(*arguments, "--data", str(directory))
    assert (done.returncode, done.stdout) == (2, "")
    assert "never ran" in done.stderr
    nowhere = {"PLAYLOG_NATS_URL": "nats://127.0.0.1:1", "PLAYLOG_POSTGRES_DSN": "postgresql://h:1"}
    done = run(*arguments, "--data", str(directory), **nowhere)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["up", "--port", "99999"], "99999 is no port"),
        (["up", "--runners", "-1"], "--runners"),
        (["up", "--host", "no.such.invalid"], "no.such.invalid"),
        (["up", "--data", "/dev/null/x"], "/dev/null"),
        (["replay", "--from", "0"], "positions begin at 1"),
        (["replay", "--until", "soon"], "no position and no time"),
        (["projections", "rebuild", "nope"], "config, jobs, reports, output"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: list[str], cause: str) -> None:
    """Before anything is started or asked."""
    done = run(*arguments)
    assert done.returncode in {1, 2}
    assert cause in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_refused(directory: Path) -> None:
    """``up`` names the flag whose port somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flag in ("--port", "--nats-port", "--postgres-port"):
            done = run("up", "--data", str(directory), flag, port)
            assert done.returncode == 2
            assert f"{flag}: cannot listen on port {port}" in done.stderr


@pytest.mark.parametrize(
    ("url", "split"),
    [
        ("postgresql://u:p%40w@h:5/db", ("postgresql://u@h:5/db", "u", "p@w")),
        ("postgresql://u@h/db", ("postgresql://u@h/db", "", "")),
        ("nats://h:4222", ("nats://h:4222", "", "")),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, split: tuple[str, str, str]) -> None:
    """Only the password goes; it comes back decoded."""
    assert settings.split_login(url) == split


@pytest.mark.parametrize(
    ("urls", "split"),
    [
        ("nats://h:4222", ("nats://h:4222", "", "")),
        ("nats://u:p@a:1,nats://u:p@b:2", ("nats://u@a:1,nats://u@b:2", "u", "p")),
        ("nats://a:1,nats://u:p@b:2", ("nats://a:1,nats://u@b:2", "u", "p")),
    ],
)
def test_no_address_of_a_cluster_is_shown_with_its_password(
    urls: str, split: tuple[str, str, str]
) -> None:
    """Whichever of them holds it."""
    assert settings.split_nats_login(urls) == split


def test_a_cluster_keeps_all_its_addresses_when_its_password_goes(directory: Path) -> None:
    """The password lies in a file of its own, and every server is still named."""
    told = settings.Settings(data=directory, nats_url="nats://u:p@a:1,nats://u:p@b:2")
    private = with_private_logins(told)
    assert private.nats_url == "nats://a:1,nats://b:2"
    assert private.nats_creds_file is not None


@pytest.fixture
def servers(directory: Path) -> Iterator[dict[str, str]]:
    """Servers that are not the command's own, named with their passwords."""
    nats = NatsServer(directory / "nats", "authorization { user: u, password: nats-w0rd }")
    postgres = PostgresServer(directory / "postgres")
    nats.start()
    postgres.start()
    yield {
        "PLAYLOG_NATS_URL": nats.url.replace("//", "//u:nats-w0rd@"),
        "PLAYLOG_POSTGRES_DSN": postgres.dsn,
        "PLAYLOG_ADMIN_PASSWORD": PASSWORD,
    }
    nats.stop()
    postgres.stop()


def test_servers_of_one_s_own_are_used(directory: Path, servers: dict[str, str]) -> None:
    """``up`` starts no server beside them and hands their passwords on in files alone."""
    assert run("init", "--data", str(directory / "data"), **servers).returncode == 0
    port = free_port()
    command = [*PLAYLOG, "up", "--data", str(directory / "data"), "--port", str(port)]
    up = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **servers}
    )
    assert up.stdout is not None
    assert up.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
    found = json.loads(run("status", "--json", "--data", str(directory / "data")).stdout)
    assert [role["role"] for role in found["roles"]] == [
        "projector",
        "dispatcher",
        "api",
        "runner-1",
    ]
    password = servers["PLAYLOG_POSTGRES_DSN"].split(":")[2].partition("@")[0]
    for secret in ("nats-w0rd", password):
        assert secret not in json.dumps(found)
        for role in found["roles"]:
            assert secret.encode() not in Path(f"/proc/{role['pid']}/environ").read_bytes()
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v2/me/", auth=("admin", PASSWORD), timeout=30)
    assert answer.status_code == 200
    up.terminate()
    assert up.wait(60) == 0
    done = run("status", "--json", "--data", str(directory / "data"))
    assert done.returncode == 1
    assert {role["state"] for role in json.loads(done.stdout)["roles"]} == {"stopped"}
