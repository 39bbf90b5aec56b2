"""The parent that supervisors are forked from: it has imported what they need, once.

Single-threaded, without an event loop and without secrets: a request names a job directory and
carries the secrets' descriptor, which only the forked supervisor reads. Ends when the agent's end
of the socket closes; supervisors go on.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from runners import process_tree
from runners.ending import ORDERS
from runners.supervisor import SupervisorFile, run_from

REQUEST_BYTES_MAX = 4096


def serve(agent: socket.socket) -> None:
    """Fork one supervisor for each request; answer with its pid and start time."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(agent, REQUEST_BYTES_MAX, 1)
        if not request:
            return
        job_dir, secrets_fd = Path(os.fsdecode(request)), descriptors[0]
        # An order that comes before the supervisor listens would end it without a word.
        signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
        pid = os.fork()
        if pid == 0:
            agent.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run_from(job_dir, secrets_fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
        os.close(secrets_fd)
        started = process_tree.start_ticks(pid) or 0
        agent.send(msgspec.json.encode(SupervisorFile(pid=pid, start_ticks=started)))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
