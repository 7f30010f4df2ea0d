"""What no well-behaved client sends: the answer is an error object, and no mistake of ours."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import openai
import pytest
from wrapper.support.servers import running_server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from wrapper.support.servers import RunningServer

pytestmark = pytest.mark.timeout(60)

CHAT = "/v1/chat/completions"
JSON_HEAD = b"host: 127.0.0.1\r\ncontent-type: application/json\r\n"


def body(**more: Any) -> dict[str, Any]:
    return {"model": "sonnet", "messages": [{"role": "user", "content": "[[text:hi]]"}], **more}


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.fixture
def server_log(server: RunningServer) -> Iterator[Path]:
    """The log of the server, in which nothing unforeseen may stand at the end."""
    yield server.log
    assert "Traceback" not in server.log.read_text()


def raw(server: RunningServer, data: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(data)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)


def error_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the error object of a raw answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    return int(head.split()[1]), json.loads(rest)["error"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["日本", "a\r\nset-cookie: x=1", "x" * 500, "ein Feld"])
def test_any_field_name_can_be_named_in_the_header(
    http: httpx.Client, server_log: Path, name: str, *, stream: bool
) -> None:
    answer = http.post(CHAT, json=body(stream=stream, **{name: 1}))
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    named = answer.headers["x-claude-wrapper-ignored-params"]
    assert named.isascii()
    assert len(named) < 300


def test_many_field_names_are_counted_not_listed(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=body(**{f"field_{number}": 1 for number in range(60)}))
    assert answer.headers["x-claude-wrapper-ignored-params"].endswith(",+10")


@pytest.mark.parametrize("session", ["日本", "a\r\nb: c", "a/b", "stats", "a b"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_session_id_must_fit_into_headers_and_paths(
    client: openai.OpenAI, session: str, *, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body(), stream=stream, extra_body={"session_id": session})
    assert caught.value.param == "session_id"


def test_a_session_id_in_a_header_is_bounded_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body(), extra_headers={"x-session-id": "x" * 201})
    assert caught.value.param == "x-session-id"


@pytest.mark.parametrize(
    "model", ["claude-\0", "claude-\nx", "claude- --flag", "claude-" + "x" * 9999]
)
def test_a_model_name_is_a_word(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**{**body(), "model": model})
    assert caught.value.code == "model_not_found"
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("include", [5, True, "x", {}])
def test_include_of_another_type_is_refused(http: httpx.Client, include: Any) -> None:
    answer = http.post("/v1/responses", json={"model": "sonnet", "input": "x", "include": include})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "include")


def test_a_number_that_python_would_not_read_is_refused(http: httpx.Client) -> None:
    assert http.get("/v1/logs", params={"limit": "9" * 5000}).status_code == 400
    assert http.post(CHAT, json=body(max_tokens=2**31)).json()["error"]["param"] == "max_tokens"
    assert http.post(CHAT, json=body(n=10**4000)).json()["error"]["param"] == "n"


@pytest.mark.parametrize("levels", [200, 940, 1000, 100_000])
def test_deep_nesting_is_answered_or_refused(
    http: httpx.Client, server_log: Path, levels: int
) -> None:
    """Between what can be read and what can be written again there are some levels."""
    deep = nested(levels)
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": deep}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "[[text:hi]]"},
    ]
    tool = '{"name":"f","input_schema":%s}'
    bodies = {
        CHAT: json.dumps(body(messages=messages)),
        "/v1/messages": '{"model":"sonnet","max_tokens":9,"messages":[{"role":"user","content":"x"}]'
        f',"tools":[{tool % deep}]}}',
        "/v1/messages/count_tokens": '{"model":"sonnet","messages":[{"role":"user","content":"x"}]'
        f',"tools":[{tool % deep}]}}',
        "/v1/responses": '{"model":"sonnet","input":"x","metadata":' + deep + "}",
    }
    for path, text in bodies.items():
        answer = http.post(path, content=text, headers={"content-type": "application/json"})
        assert answer.status_code in ({200} if levels == 200 else {200, 400}), (path, answer.text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("[" * 100_000, "nested too deeply; 200 levels are fine", id="nesting"),
        pytest.param('{"seed": ' + "9" * 5000, "has 5000 digits; at most 4300", id="digits"),
        pytest.param(b'{"model": "\xff"}', "no text in UTF-8", id="bytes"),
        pytest.param("{}".encode("utf-16"), "no text in UTF-8", id="UTF-16"),
        pytest.param(b'{"model": "\xed\xa0\x80"}', "no text in UTF-8", id="half a character"),
        pytest.param(" ", "the body is empty", id="nothing"),
        pytest.param('{"seed": NaN}', "NaN is no number in JSON", id="NaN"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
def test_what_is_no_json_is_told_in_the_words_of_json_not_of_python(
    http: httpx.Client, path: str, content: str | bytes, words: str
) -> None:
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert "sys." not in answer.text


def test_a_compressed_body_is_refused_by_name(http: httpx.Client) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = http.post(CHAT, content=gzip.compress(b"{}"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert "'gzip'" in answer.json()["error"]["message"]


def test_an_error_does_not_repeat_a_whole_megabyte(http: httpx.Client) -> None:
    request = {"model": "sonnet", "input": "x", "previous_response_id": "x" * 1_000_000}
    answer = http.post("/v1/responses", json=request)
    assert answer.status_code == 404
    assert len(answer.content) < 2000


@pytest.mark.parametrize("asks_first", [False, True])
def test_a_client_with_too_large_a_body_may_finish_and_gets_its_answer(
    server: RunningServer, *, asks_first: bool
) -> None:
    """Cut off in its body, it would see a reset connection as often as the answer."""
    size = (32 << 20) + 1
    expect = b"expect: 100-continue\r\n" if asks_first else b""
    head = b"POST /v1/responses HTTP/1.1\r\n" + JSON_HEAD + expect
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % size)
        answer = connection.recv(65536)
        while not answer.endswith(b"}}"):
            answer += connection.recv(65536)
        assert error_of(answer)[1]["code"] == "request_too_large"
        if not asks_first:
            piece = b"x" * (1 << 20)
            for _ in range(32):
                connection.sendall(piece)
            connection.sendall(b"x")
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "request_head",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", id="TLS"),
        pytest.param(b"GET /health\r\n\r\n", id="no version"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", id="length"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", id="two hosts"),
        pytest.param(
            b"POST /v1/responses HTTP/1.1\r\n" + JSON_HEAD
            + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\nZZ\r\n",
            id="broken chunk",
        ),
    ],
)  # fmt: skip
def test_what_is_no_http_gets_our_error_object(
    server: RunningServer, server_log: Path, request_head: bytes
) -> None:
    status, error = error_of(raw(server, request_head))
    assert (status, error["type"]) == (400, "invalid_request_error")


def test_a_large_head_is_taken_or_refused_however_it_arrives(server: RunningServer) -> None:
    for size, words in ((60_000, b"HTTP/1.1 200 "), (70_000, b"HTTP/1.1 431 ")):
        head = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: "
        rest = b"a" * size + b"\r\n\r\n"
        parts = urlsplit(server.url)
        for cut in (0, 50_000):
            with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(head + rest[:cut])
                # An answer to another request: the first piece has been looked at by then.
                assert raw(server, head + b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
                connection.sendall(rest[cut:])
                assert connection.recv(13) == words


def test_a_target_in_absolute_form_is_answered_as_it_names_the_host(server: RunningServer) -> None:
    head = b"GET http://%s/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    assert raw(server, head % b"127.0.0.1").startswith(b"HTTP/1.1 200 ")
    assert error_of(raw(server, head % b"page.example"))[1]["code"] == "forbidden_host"


def test_two_lengths_of_one_body_are_refused(server: RunningServer) -> None:
    lengths = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    status, error = error_of(raw(server, b"POST /v1/responses HTTP/1.1\r\n" + JSON_HEAD + lengths))
    assert (status, "said once" in error["message"]) == (400, True)


def test_a_client_that_leaves_within_its_body_is_no_mistake_of_ours(
    server: RunningServer, server_log: Path
) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\n" + JSON_HEAD
            + b"x-request-id: left-early\r\ncontent-length: 500\r\n\r\n{"
        )  # fmt: skip
    wait_until(lambda: "left-early" in server_log.read_text(), what="the request is logged")


def test_a_health_check_without_a_host_is_answered(server: RunningServer) -> None:
    assert raw(server, b"GET /health/ready HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_path_that_does_not_exist_says_where_the_api_is(http: httpx.Client) -> None:
    answer = http.post("/chat/completions", json=body())
    assert answer.status_code == 404
    assert "/v1" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (f"{CHAT}/", CHAT),
        ("/health/?verbose=1", "/health?verbose=1"),
        ("/v1/sessions/a%3Fb//", "/v1/sessions/a%3Fb"),
        ("/v1/models/", "/v1/models"),
        ("/v1/models/sonnet/", "/v1/models/sonnet"),
        ("//elsewhere.example/", None),
    ],
)
def test_a_slash_too_many_leads_to_the_same_host(
    http: httpx.Client, path: str, where: str | None
) -> None:
    method = "GET" if "models" in path else "POST"
    reply = http.request(method, path, json=body(), headers={"host": "localhost"})
    assert reply.headers.get("location") == where


def test_a_wrong_method_is_told_all_that_the_path_takes(http: httpx.Client) -> None:
    answer = http.put("/v1/sessions/x", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert "DELETE, GET, HEAD" in answer.json()["error"]["message"]


def test_null_stands_for_what_was_left_out(http: httpx.Client) -> None:
    function = {"name": "f", "description": None, "parameters": None}
    chat = body(tools=[{"type": "function", "function": function}], stop=None, stream_options=None)
    assert http.post(CHAT, json=chat).status_code == 200
    tool = {"name": "f", "description": None, "input_schema": {"type": "object"}}
    message = body(max_tokens=9, system=None, tools=[tool])
    assert http.post("/v1/messages", json=message).status_code == 200


def test_a_forced_call_leaves_the_schema_nothing_to_say(client: openai.OpenAI) -> None:
    schema: Any = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}},
    }
    answer = client.chat.completions.create(
        model="sonnet",
        messages=[{"role": "user", "content": '[[tool:f {"a": 1}]]'}],
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="required",
        response_format=schema,
    )
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with running_server(tmp_path, "--request-timeout", "0.3") as server:
        parts = urlsplit(server.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        connection.putrequest("POST", CHAT)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "500")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error"]["code"]) == (408, "request_timeout")
        connection.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "input: must have at least 1 item"),
        ("", "input is ''; must have at least 1 item"),
        (5, "input is 5; must be a string, or must be a list"),
        ([5], "input.0 is 5; must be an object with one of the types message, function_call"),
        ([{"type": "nope"}], "input.0: must be an object with one of the types message"),
    ],
)
def test_the_error_is_that_of_the_variant_that_was_meant(
    http: httpx.Client, given: Any, words: str
) -> None:
    answer = http.post("/v1/responses", json={"model": "sonnet", "input": given})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)


def test_nobody_forges_where_a_request_comes_from(
    server: RunningServer, http: httpx.Client
) -> None:
    """Who connects from loopback is no trusted proxy: neither log nor origin believe its words."""
    forged = {
        "x-forwarded-for": "203.0.113.66",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "page.example",
        "forwarded": "for=203.0.113.66;proto=https;host=page.example",
        "x-request-id": "forged-request",
    }
    assert http.post(CHAT, json=body(), headers=forged).status_code == 200
    # Were the scheme believed, this page, on another port, would be one of ours.
    page = {**forged, "host": "localhost", "origin": "https://localhost"}
    answer = http.post(CHAT, json=body(), headers=page)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
    wait_until(lambda: server.log.read_text().count("forged-request") == 2, what="it is logged")
    assert "203.0.113.66" not in server.log.read_text()


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("[[tool:f {]]", "holds no JSON"),
        ("[[tool:f [1]]]", "needs an object"),
        ("[[tool]]", "needs the name of a tool"),
        ("[[json:{]]", "holds no JSON"),
        ("[[chunks:many]]", "needs a number"),
        ("[[delay:-1]]", "needs a number"),
        ("[[delay:nan]]", "needs a number"),
        ("[[status]]", "needs a number"),
    ],
)
def test_a_directive_that_makes_no_sense_is_answered(
    http: httpx.Client, directive: str, words: str
) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    messages = [{"role": "user", "content": directive}]
    answer = http.post(CHAT, json={"model": "sonnet", "messages": messages, "tools": tools})
    assert answer.status_code == 400
    assert directive in answer.json()["error"]["message"]
    assert words in answer.json()["error"]["message"]
