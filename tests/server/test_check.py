"""`python -m server --check`: well, not well, and why."""

import io

import pytest

from harness import Sandbox
from server.check import Finding, Part, run_check
from server.pitfalls import PITFALLS
from server.settings import Settings

HTML = "<!DOCTYPE html><html><body>Cannot GET /database</body></html>"


async def check(env: dict[str, str]) -> tuple[int, str]:
    out = io.StringIO()
    code = await run_check(Settings.from_env(env), out)
    return code, out.getvalue()


async def test_a_working_setup_is_told_line_by_line(sandbox: Sandbox) -> None:
    code, text = await check(sandbox.environment)
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["Redis", "ok"],
        ["Flux", "ok"],
        ["Conduit", "ok"],
    ]
    assert "200" in lines[1]
    assert "[FOUND]" not in text
    assert text.count("likely cause:") == text.count("cure:") == len(PITFALLS)
    assert code == 0


async def test_a_wrong_secret_is_found(sandbox: Sandbox) -> None:
    env = {**sandbox.environment, "FLUX_JWT_SECRET": "x" * 48}
    code, text = await check(env)
    assert code == 1
    assert "[FOUND] Flux: 401 invalid or expired token" in text
    assert text.count("[FOUND]") == 1
    assert "x" * 48 not in text


async def test_nobody_listening_is_found_in_all_three(
    environment: dict[str, str],
) -> None:
    code, text = await check(environment)
    assert code == 1
    assert "[FOUND] No connection" in text
    assert "[FOUND] Redis: no answer" in text
    states = [line[19:25] for line in text.splitlines()[:4]]
    assert states == ["failed"] * 4


def finding(part: Part, status: int | None, text: str) -> Finding:
    media_type = "text/html" if text.startswith("<") else "application/json"
    return Finding(part, False, status, media_type, text)


@pytest.mark.parametrize(
    ("sign", "part", "status", "text"),
    [
        ("Flux: 404 tenant", "Flux", 404, '{"error":"tenant not found"}'),
        ("Flux: 401 auth", "Flux", 401, '{"error":"authorization required"}'),
        ("Flux: 401 inv", "Flux", 401, '{"code":"PGRST301","message":"JWT expired"}'),
        ("Flux: table", "Flux", 404, '{"code":"42P01","message":"x"}'),
        ("Flux: table", "Flux", 404, "{}"),
        ("Flux: column", "Flux", 400, '{"code":"42703"}'),
        ("Flux: 406", "Flux", 406, '{"code":"PGRST106"}'),
        ("Flux: permission", "Flux", 403, '{"code":"42501"}'),
        (
            "Flux: 502 not",
            "Flux",
            502,
            '{"error":"project mode v1 is not routed through this gateway"}',
        ),
        ("Flux: 503 dormant", "Flux", 503, '{"error":"project is dormant; wake"}'),
        ("Flux: 502, 503", "Flux", 504, '{"error":"upstream timeout"}'),
        ("429", "Flux", 429, '{"error":"rate limit exceeded"}'),
        ("429", "Conduit", 429, "Too Many Requests"),
        ('Conduit: 401 {"error"', "Conduit", 401, '{"error":"Unauthorized"}'),
        ("Conduit: 401 with", "Conduit", 401, "Unauthorized"),
        ("Conduit: 404 as", "Conduit endpoints", 404, HTML),
        (
            "Conduit: 404 Not",
            "Conduit endpoints",
            404,
            '{"name":"NOT_FOUND","message":"Not found"}',
        ),
        (
            "Conduit: 500",
            "Conduit endpoints",
            500,
            '{"message":"round_robin: No connection established"}',
        ),
        ("A redirect", "Flux", 308, "Permanent Redirect"),
        ("A redirect", "Conduit", 301, HTML),
        ("An HTML page", "Conduit", 200, HTML),
        ("TLS", "Flux", None, "check: certificate verify failed"),
        ("The host name", "Flux", None, "[Errno -2] Name or service not known"),
        ("No connection", "Conduit", None, "All connection attempts failed"),
        ("No answer in time", "Conduit", None, "no answer in time: check"),
        ("Redis", "Redis", None, "Error 111"),
    ],
)
def test_each_pitfall_is_told_by_what_the_upstream_answers(
    sign: str, part: Part, status: int | None, text: str
) -> None:
    found = [p.sign for p in PITFALLS if p.fits(finding(part, status, text))]
    assert any(each.startswith(sign) for each in found), found
    assert len(found) <= 2


def test_a_good_answer_fits_no_pitfall() -> None:
    good = Finding("Flux", True, 200, "application/json", "[]")
    assert [p.sign for p in PITFALLS if p.fits(good)] == []


def test_the_preview_is_cut_and_blotted() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    line = finding("Flux", 401, f"{token} " + "x" * 1000).line()
    assert "eyJzdWIi" not in line
    assert len(line) < 350
