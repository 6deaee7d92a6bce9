"""`python -m server` as a process: start, refusal to start, end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from server.__main__ import serving_config
from server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent


def start(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it prints; ended in any case."""
    process = start({**env, "PORT": "0"})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found is not None, line or process.communicate()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def wait_until_it_answers(url: str) -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(f"{url}/health/live", timeout=5)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_bad_settings_print_the_list_and_exit_2() -> None:
    process = start({"PORT": "x"})
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    for name in ("PORT", "FLUX_URL", "CLIENT_BASE_URL", "SESSION_SECRET"):
        assert f"  {name}: " in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_one_clear_line_and_exit_1(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start({**environment, "PORT": str(taken.getsockname()[1])})
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert errors.startswith("Cannot listen on 127.0.0.1:")
    assert "Traceback" not in errors


def test_it_prints_its_address_answers_and_ends_on_sigterm(
    environment: dict[str, str],
) -> None:
    with running(environment) as (process, url):
        response = wait_until_it_answers(url)
        assert response.status_code == 200
        assert "server" not in response.headers
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert out == ""
    assert "Traceback" not in errors


def test_a_request_in_flight_finishes_after_sigterm(
    environment: dict[str, str],
) -> None:
    body = b'{"query":"{ __typename }"}'
    head = (
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with running(environment) as (process, url):
        wait_until_it_answers(url)
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head + body[:5])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[5:])
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        process.communicate(timeout=60)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'{"data":{"__typename":"Query"}}')


def test_a_client_that_sends_too_much_hears_the_refusal(
    environment: dict[str, str],
) -> None:
    """It sends all before it reads: a reset connection would lose the answer."""
    head = (
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with running(environment) as (_, url):
        wait_until_it_answers(url)
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head)
            for _ in range(48):
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                time.sleep(0.005)
            connection.sendall(b"0\r\n\r\n")
            answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413")


def test_several_workers_answer_on_one_port(environment: dict[str, str]) -> None:
    with running({**environment, "WORKERS": "2"}) as (process, url):
        assert wait_until_it_answers(url).status_code == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)


def test_the_check_exits_1_when_nobody_answers(environment: dict[str, str]) -> None:
    process = start(environment, "--check")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out.startswith("Redis")


def test_a_part_of_a_second_is_not_rounded_to_none(environment: dict[str, str]) -> None:
    parts = {"KEEPALIVE_TIMEOUT_S": "0.5", "SHUTDOWN_TIMEOUT_S": "0.5"}
    config = serving_config(Settings.from_env(environment | parts))
    assert config.timeout_keep_alive == 1
    assert config.timeout_graceful_shutdown == 1
