"""A project behind a login: its credentials open its own host, and no other learns them."""

from __future__ import annotations

import base64
import getpass
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runners.git_remote import parse_url, place
from runners.spec import GalaxyServer, Secrets
from tests.deployment.ssh_fleet import PASSPHRASE, Sshd
from tests.runners.rig import Rig
from tests.runners.test_galaxy import META, installed
from tests.runners.test_project_sync import Repository, failed, names, update

LOGIN = Secrets(scm_username="bob", scm_password="git-password-17")
_WANTED = "Basic " + base64.b64encode(b"bob:git-password-17").decode()


@contextmanager
def served(root: Path, offered: list[str]) -> Iterator[str]:
    """Serve the repositories below ``root`` to whoever logs in; keep what is offered."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            login = self.headers.get("Authorization", "")
            offered.append(login)
            if login != _WANTED:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                return
            head, _, body = _backend(root, self).partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _backend(root: Path, request: BaseHTTPRequestHandler) -> bytes:
    """Return what git's own server answers."""
    path, _, query = request.path.partition("?")
    repository, _, rest = path.lstrip("/").partition("/")
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    env = {
        "PATH": os.defpath,
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository}/.git/{rest}",
        "QUERY_STRING": query,
        "REQUEST_METHOD": request.command,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
    }
    command = ["git", "-c", "safe.directory=*", "http-backend"]
    return subprocess.run(command, env=env, input=body, capture_output=True, check=True).stdout


def with_submodule(path: Path, url: str) -> None:
    """Make a repository whose ``roles/sub`` is a submodule at ``url``."""
    library = Repository(path.parent / "library")
    commit = library.commit(main_yml="- debug:\n")
    project = Repository(path)
    (path / ".gitmodules").write_text(
        f'[submodule "roles/sub"]\n\tpath = roles/sub\n\turl = {url}\n'
    )
    project.git("update-index", "--add", "--cacheinfo", f"160000,{commit},roles/sub")
    (path / "roles" / "sub").mkdir(parents=True)
    project.commit(site_yml="- hosts: all\n")


def test_a_private_project_brings_its_private_submodule(
    new_rig: Callable[[], Rig], tmp_path: Path
) -> None:
    """A submodule beside the project is fetched with its login; the content has one digest."""
    with_submodule(tmp_path / "project", "../library")
    with served(tmp_path, []) as base:
        rig = new_rig()
        first = update(rig, f"{base}/project", LOGIN)
        assert first.status == "successful", first.explanation
        assert names(rig) == [".gitmodules", "roles/sub/main.yml", "site.yml"]
        again = update(new_rig(), f"{base}/project", LOGIN, scm_delete_first=True)
        assert again.content_sha256 == first.content_sha256
        nobody = new_rig()
        assert "Authentication failed" in failed(nobody, update(nobody, f"{base}/project"))


def test_another_host_does_not_learn_the_password(rig: Rig, tmp_path: Path) -> None:
    """Who may write to a project cannot send its login to a server of his own."""
    learned: list[str] = []
    with served(tmp_path, learned) as elsewhere, served(tmp_path, []) as base:
        with_submodule(tmp_path / "project", f"{elsewhere}/library")
        final = update(rig, f"{base}/project", LOGIN)
    assert "Authentication failed" in failed(rig, final)
    assert learned
    assert set(learned) == {""}


def test_a_network_project_reaches_no_file_of_this_machine(rig: Rig, tmp_path: Path) -> None:
    """A submodule that names a local path is refused where the project itself is remote."""
    with_submodule(tmp_path / "project", (tmp_path / "library").as_uri())
    with served(tmp_path, []) as base:
        final = update(rig, f"{base}/project", LOGIN)
    assert "not allowed" in failed(rig, final)


@pytest.mark.parametrize("limit", [{"timeout_s": 2}, {"idle_timeout_s": 2}])
def test_a_server_that_never_answers_is_given_up(rig: Rig, limit: dict[str, Any]) -> None:
    """A time limit ends an update whose server says nothing, and leaves no process."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        final = update(rig, f"ssh://git@127.0.0.1:{silent.getsockname()[1]}/a.git", **limit)
    assert final.status == "failed"
    assert "timeout" in final.explanation
    assert rig.processes() == []


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://u:p@host:8443/a", ("https", "host:8443", "host")),
        ("http://[::1]:80/a", ("http", "[::1]:80", "::1")),
        ("git@host:a/b.git", ("ssh", "", "host")),
        ("ssh://git@host:22/a", ("ssh", "host:22", "host")),
    ],
)
def test_prompts_name_the_host(url: str, named: tuple[str, str, str]) -> None:
    """The place that a prompt names is the remote's, without its login."""
    assert msgspec.structs.astuple(place(parse_url(url))) == named


@pytest.mark.tier_sshd
def test_a_key_with_a_passphrase_opens_a_project(
    new_rig: Callable[[], Rig], tmp_path: Path
) -> None:
    """Git over ssh uses the credential's locked key; without it the update fails at once.

    The same key opens the private role that the project requires.
    """
    server = Sshd(tmp_path)
    where = f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{tmp_path}"
    Repository(tmp_path / "role").commit(meta__main_yml=META)
    url, role = f"{where}/project", f"- src: git+{where}/role\n  name: private\n"
    commit = Repository(tmp_path / "project").commit(roles__requirements_yml=role)
    key = Secrets(
        scm_key=server.key.read_text(),
        scm_key_passphrase=PASSPHRASE,
        galaxy=(GalaxyServer(url="http://127.0.0.1:1/"),),
    )
    opened, refused = new_rig(), new_rig()
    try:
        final = update(opened, url, key, roles_enabled=True)
        assert (final.status, final.scm_revision) == ("successful", commit), final.explanation
        assert installed(opened) == ["requirements_roles/private/meta/main.yml"]
        assert "Authentication failed" in failed(refused, update(refused, url))
    finally:
        server.stop()
    assert PASSPHRASE.encode() not in opened.raw()
