"""Everything that rests on undocumented behaviour of the CLI, checked against the pinned one."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from wrapper.support.servers import is_alive, running_server, suspend, wait_until

from claude_wrapper.claude.wanted import LONGEST_RESULT

if TYPE_CHECKING:
    from pathlib import Path

    from wrapper.real_cli.conftest import FakeApi
    from wrapper.support.servers import RunningServer

pytestmark = pytest.mark.timeout(120)

MODEL = "claude-sonnet-4-5"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
PICTURE: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'


def ask(client: openai.OpenAI, text: Any, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=MODEL, messages=messages, **more)


def only_text(message: dict[str, Any]) -> str:
    """The text of a message that has nothing else."""
    content = message["content"]
    [block] = [{"text": content}] if isinstance(content, str) else content
    return str(block["text"])


def texts(body: dict[str, Any]) -> list[str]:
    """The conversation of a request, the CLI's own system messages left out."""
    spoken = [m for m in body["messages"] if m["role"] != "system"]
    return [
        m["content"] if isinstance(m["content"], str) else m["content"][-1].get("text", "")
        for m in spoken
    ]


def test_a_stream_comes_piece_by_piece_with_true_usage(client: openai.OpenAI) -> None:
    chunks = list(
        ask(client, "[[chunks:5]] [[text:w]]", stream=True, stream_options={"include_usage": True})
    )
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    assert pieces == ["w0 ", "w1 ", "w2 ", "w3 ", "w4 "]
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (11, 7)


def test_nothing_of_one_request_reaches_the_next(client: openai.OpenAI, api: FakeApi) -> None:
    client.chat.completions.create(
        model=MODEL, max_tokens=123, temperature=0.4, tools=TOOLS,
        messages=[
            {"role": "system", "content": "first system"},
            {"role": "user", "content": "first secret"},
        ],
    )  # fmt: skip
    first = api.last()
    assert (first["max_tokens"], first["temperature"]) == (123, 0.4)
    assert first["system"][-1]["text"] == "first system"
    assert [tool["name"] for tool in first["tools"]] == ["weather"]
    for _ in range(2):
        ask(client, "second")
        second = json.dumps(api.last())
        assert "first" not in second
        assert "weather" not in second
        assert api.last()["max_tokens"] != 123
        assert "temperature" not in api.last()


def test_changing_the_system_prompt_costs_no_request_of_its_own(
    client: openai.OpenAI, api: FakeApi
) -> None:
    before = len(api.requests())
    for text in ("one", "two"):
        messages: Any = [{"role": "system", "content": text}, {"role": "user", "content": "x"}]
        client.chat.completions.create(model=MODEL, messages=messages)
    assert len(api.requests()) - before == 2


@pytest.mark.parametrize("model", ["claude-opus-4-1", "claude-opus-4-20250514", "claude-next-9"])
def test_the_model_that_was_named_is_asked(client: openai.OpenAI, api: FakeApi, model: str) -> None:
    """Left to itself the CLI takes the newest Opus for older ones, and says nothing."""
    messages: Any = [{"role": "user", "content": "x"}]
    client.chat.completions.create(model=model, messages=messages)
    assert api.last()["model"] == model


@pytest.mark.parametrize(
    ("model", "system"), [(MODEL, "two"), ("claude-opus-5-5", "one")], ids=["system", "model"]
)
def test_a_change_within_a_conversation_is_not_told_to_the_model(
    client: openai.OpenAI, api: FakeApi, model: str, system: str
) -> None:
    """Left to itself the CLI writes a command and its output into the client's message."""
    said: Any = [{"role": "user", "content": "[[text:a]]"}]
    rules: Any = [{"role": "system", "content": "one"}]
    client.chat.completions.create(model=MODEL, messages=[*rules, *said])
    said += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    rules[0]["content"] = system
    client.chat.completions.create(model=model, messages=[*rules, *said])
    seen = api.last()
    spoken = [m for m in seen["messages"] if m["role"] != "system"]
    assert [only_text(m) for m in spoken] == ["[[text:a]]", "a", "b"]
    assert (seen["model"], system in json.dumps(seen["system"])) == (model, True)


def test_history_arrives_as_it_was_sent(client: openai.OpenAI, api: FakeApi) -> None:
    messages: Any = [
        {"role": "user", "content": "u1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "u2"},
        {"role": "assistant", "content": "a2"},
        {"role": "user", "content": "u3"},
    ]
    client.chat.completions.create(model=MODEL, messages=messages)
    assert texts(api.last()) == ["u1", "a1", "u2", "a2", "u3"]


def test_file_mentions_and_slash_commands_are_plain_text(
    client: openai.OpenAI, api: FakeApi
) -> None:
    for text in ("look at @/etc/hostname please", "/cost"):
        ask(client, text)
        assert texts(api.last()) == [text]


def test_parallel_tool_calls_resume_in_the_same_turn(client: openai.OpenAI, api: FakeApi) -> None:
    reply = ask(client, TWO_CALLS, tools=TOOLS)
    message = reply.choices[0].message
    assert reply.choices[0].finish_reason == "tool_calls"
    assert [json.loads(c.function.arguments)["city"] for c in message.tool_calls] == [
        "Oslo",
        "Rome",
    ]
    history: Any = [
        {"role": "user", "content": TWO_CALLS},
        message.model_dump(exclude_none=True),
        *(
            {"role": "tool", "tool_call_id": c.id, "content": f"dry in {c.id}"}
            for c in message.tool_calls
        ),
    ]
    again: Any = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS)
    assert all(f"dry in {c.id}" in again.choices[0].message.content for c in message.tool_calls)
    results = api.last()["messages"][-1]["content"]
    assert [part["tool_use_id"] for part in results] == [c.id for c in message.tool_calls]
    # Once more, when no process holds the calls any longer: replayed from the history.
    again = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS)
    assert all(f"dry in {c.id}" in again.choices[0].message.content for c in message.tool_calls)


@pytest.mark.parametrize(
    "name", ["Agent", "Bash", "ExitPlanMode", "Read", "StructuredOutput", "ToolSearch", "Write"]
)
def test_a_tool_called_like_one_of_the_cli_is_the_clients(
    client: openai.OpenAI, api: FakeApi, name: str
) -> None:
    """The CLI knows its own by their names, whoever offers them, and treats them in its own way."""
    arguments = {
        "plan": "p",
        "command": "cd /x && ls \\\\; ",
        "file_path": "a.py",
        "content": "x  \n",
    }
    parameters = {"type": "object", "properties": {key: {"type": "string"} for key in arguments}}
    function = {"name": name, "description": "mine", "parameters": parameters}
    tools: Any = [{"type": "function", "function": function}]
    asked = {"role": "user", "content": f"[[tool:{name} {json.dumps(arguments)}]]"}
    message = ask(client, asked["content"], tools=tools).choices[0].message
    [call] = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (name, arguments)
    found = {"role": "tool", "tool_call_id": call.id, "content": "found"}
    history: Any = [asked, message.model_dump(exclude_none=True), found]
    # In the turn that made the call, and replayed when no process holds it any longer.
    for _ in range(2):
        again = client.chat.completions.create(model=MODEL, messages=history, tools=tools)
        assert "found" in again.choices[0].message.content
        body = api.last()
        [block] = [b for b in body["messages"][-2]["content"] if b["type"] == "tool_use"]
        assert block["input"] == arguments
        assert [(tool["name"], tool["description"]) for tool in body["tools"]] == [
            (block["name"], "mine")
        ]


def test_what_a_tool_says_of_itself_reaches_the_api_whole(
    client: openai.OpenAI, api: FakeApi
) -> None:
    """Agents explain their tools on many pages; the CLI would cut them at 4096 characters."""
    said = "how it is used. " * 4000 + "The end."
    parameters = {
        "type": "object",
        "description": said,
        "properties": {"a": {"type": "string", "description": said}},
    }
    function = {"name": "f", "description": said, "parameters": parameters}
    ask(client, "x", tools=[{"type": "function", "function": function}])
    [tool] = api.last()["tools"]
    assert tool["description"] == said
    assert tool["input_schema"] == parameters


@pytest.mark.parametrize("length", [150_000, LONGEST_RESULT, 600_000])
def test_a_long_result_reaches_the_model(client: openai.OpenAI, api: FakeApi, length: int) -> None:
    """A file that an agent has read; the CLI would put it into a file and tell the model where."""
    message = ask(client, "[[tool:weather {}]]", tools=TOOLS).choices[0].message
    [call] = message.tool_calls
    found = ("a line of the file\n" * (length // 18))[:length]
    history: Any = [
        {"role": "user", "content": "[[tool:weather {}]]"},
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": found},
    ]
    client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS)
    [block] = api.last()["messages"][-1]["content"]
    content = block["content"]
    assert (content if isinstance(content, str) else content[0]["text"]) == found


def test_a_forced_tool_reaches_the_api(client: openai.OpenAI, api: FakeApi) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    ask(client, "x", tools=TOOLS, tool_choice=choice)
    assert api.last()["tool_choice"] == {"type": "tool", "name": "weather"}


def test_a_schema_makes_an_object(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = ask(client, '[[json:{"a": "x"}]]', response_format=wanted)
    assert json.loads(reply.choices[0].message.content) == {"a": "x"}


def test_tools_as_libraries_write_them_all_reach_the_api(
    client: openai.OpenAI, api: FakeApi
) -> None:
    """One that is not plainly an object would make the CLI drop them all, in silence."""
    loose: list[Any] = [
        None, {}, {"properties": {"a": {"type": "string"}}}, {"type": ["object", "null"]},
        {"type": "object", "properties": None, "required": None}, {"anyOf": [{"type": "object"}]},
        {"properties": {"a": True}},
    ]  # fmt: skip
    tools = [
        {"type": "function", "function": {"name": f"t{index}", "parameters": schema}}
        for index, schema in enumerate(loose)
    ]
    ask(client, "x", tools=tools)
    assert [tool["name"] for tool in api.last()["tools"]] == [f"t{n}" for n in range(len(loose))]


def test_a_schema_in_words_of_other_drafts_makes_an_object(client: openai.OpenAI) -> None:
    inner = {"type": "string", "example": "x", "description": None}
    pair = {"type": "array", "prefixItems": [inner], "items": False, "minItems": 1, "maxItems": 1}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "x-order": 1,
        "properties": {"a": inner, "b": pair}, "dependentRequired": {"b": ["a"]}, "required": None,
    }  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = ask(client, '[[json:{"a": "x", "b": ["y"]}]]', response_format=wanted)
    assert json.loads(reply.choices[0].message.content) == {"a": "x", "b": ["y"]}


def test_a_schema_that_the_cli_drops_is_refused(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="draft 7"):
        ask(client, "x", response_format=wanted)


def test_an_image_arrives(client: openai.OpenAI, api: FakeApi) -> None:
    ask(client, [{"type": "text", "text": "see"}, PICTURE])
    assert '"media_type": "image/png"' in json.dumps(api.last())


@pytest.mark.parametrize("model", [MODEL, "sonnet", "claude-opus-4-1"])
@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.3}, {"top_p": 0.5}, {"max_tokens": 100}, {"max_tokens": 8000},
        {"tools": TOOLS, "tool_choice": "required"},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_api_takes_only_without_thinking_is_asked_without(
    client: openai.OpenAI, api: FakeApi, model: str, more: Any
) -> None:
    """The CLI has the model think by itself, and the API answers 400 to both together."""
    if "top_p" in more and model != "sonnet":
        pytest.skip("the CLI adds a temperature for older models: see docs/known-issues.md")
    messages: Any = [{"role": "user", "content": "x"}]
    for extra in (more, {}):
        client.chat.completions.create(model=model, messages=messages, **extra)
        assert ("thinking" in api.last()) == (not extra)


def test_the_token_limit_ends_the_answer(client: openai.OpenAI, api: FakeApi) -> None:
    reply = ask(client, "[[maxtok]] [[text:cut]]")
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("cut", "length")
    ask(client, "next")
    assert texts(api.last()) == ["next"]


@pytest.mark.parametrize("model", [MODEL, "claude-opus-5-5"])
def test_a_refusal_is_the_answer_and_nobody_is_asked_again(
    client: openai.OpenAI, api: FakeApi, model: str
) -> None:
    before = len(api.requests())
    messages: Any = [{"role": "user", "content": "[[refuse]] [[text:no]]"}]
    choice = client.chat.completions.create(model=model, messages=messages).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("no", "content_filter")
    assert len(api.requests()) == before + 1
    ask(client, "next")
    assert texts(api.last()) == ["next"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (401, openai.AuthenticationError), (429, openai.RateLimitError),
     (529, openai.InternalServerError)],
)  # fmt: skip
def test_api_errors_come_back_at_once_with_their_status(
    client: openai.OpenAI, api: FakeApi, status: int, error: type[openai.APIStatusError]
) -> None:
    before = len(api.requests())
    with pytest.raises(error) as caught:
        ask(client, f"[[status:{status}]]")
    assert caught.value.status_code == status
    # After a 400 the CLI tries the request with fewer beta features; nothing turns that off.
    assert len(api.requests()) - before <= (3 if status == 400 else 1)


def test_a_cut_stream_is_an_error_and_not_asked_again(client: openai.OpenAI, api: FakeApi) -> None:
    before = len(api.requests())
    with pytest.raises(openai.InternalServerError):
        ask(client, "[[drop]]")
    assert len(api.requests()) - before == 1


@pytest.mark.parametrize("state", ["[[hang]]", "[[midhang]]"])
def test_a_client_that_leaves_is_forgotten(
    client: openai.OpenAI, api: FakeApi, server: RunningServer, state: str
) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(client, f"{state} gone", timeout=1)
    ask(client, "next")
    assert texts(api.last()) == ["next"]
    health = httpx.get(f"{server.url}/health").json()
    assert health["processes"]["busy"] == 0


def test_prompts_and_keys_are_not_in_the_arguments(
    client: openai.OpenAI, server: RunningServer
) -> None:
    messages: Any = [
        {"role": "system", "content": "sys-mark"},
        {"role": "user", "content": "user-mark"},
    ]
    client.chat.completions.create(model=MODEL, messages=messages)
    for child in server.children():
        line = " ".join(child.cmdline())
        assert "mark" not in line
        assert "sk-ant" not in line


def test_the_server_stops_in_mid_stream_and_takes_all_processes_along(
    binary: Path, api: FakeApi, tmp_path: Path
) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": api.url}
    body = {
        "model": MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "[[midhang]] x"}],
    }
    with (
        running_server(tmp_path, cli=binary, **env) as server,
        httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as response,
    ):
        lines = response.iter_lines()
        next(line for line in lines if '"content":"pong"' in line)
        children = [child.pid for child in server.children()]
        assert server.stop() == 0
        assert '"shutting_down"' in [line for line in lines if line][-1]
    wait_until(lambda: not any(map(is_alive, children)), what="all processes are gone")


def test_after_kill_9_in_mid_stream_no_process_is_left(
    binary: Path, api: FakeApi, tmp_path: Path
) -> None:
    """The real one would go on with its turn, and talk to the API, for as long as that takes."""
    env = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": api.url}
    messages = [{"role": "user", "content": "[[midhang]] x"}]
    body = {"model": MODEL, "stream": True, "messages": messages}
    with running_server(tmp_path, cli=binary, **env) as server:
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as response:
            lines = response.iter_lines()
            next(line for line in lines if '"content":"pong"' in line)
            children = [child.pid for child in server.children()]
            server.stop(signal.SIGKILL)
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        wait_until(lambda: not any(map(is_alive, children)), what="all processes are gone")
    with running_server(tmp_path, cli=binary, **env) as server:
        assert "previous run: unclean" in server.announcement
    assert list((tmp_path / "state" / "runs").iterdir()) == []


def test_a_stopped_process_is_replaced_and_does_not_hold_up_the_end(
    binary: Path, api: FakeApi, tmp_path: Path
) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": api.url}
    flags = ("--max-concurrency", "1", "--pool-size", "1", "--request-timeout", "20s")
    messages = [{"role": "user", "content": "x"}]
    body = {"model": MODEL, "messages": messages}
    with running_server(tmp_path, *flags, cli=binary, **env) as server:
        url = f"{server.url}/v1/chat/completions"
        assert httpx.post(url, json=body, timeout=30).status_code == 200
        [child] = server.children()
        suspend(child.pid)
        assert httpx.post(url, json=body, timeout=30).status_code == 200
        wait_until(lambda: not is_alive(child.pid), what="the stopped process is gone")
        [child] = server.children()
        suspend(child.pid)
        assert server.stop() == 0
        assert not is_alive(child.pid)


def test_a_long_history_in_one_piece_arrives_as_it_was_sent(
    client: openai.OpenAI, api: FakeApi, server: RunningServer
) -> None:
    """The CLI tidies up what it resumes; nothing of that may reach the model."""
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    first: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "@/etc/passwd"}, PICTURE]},
        {"role": "assistant", "content": "/clear", "tool_calls": [{"id": "t1", **call}]},
        {"role": "tool", "tool_call_id": "t1", "content": "[Request interrupted by user]"},
        {"role": "assistant", "content": "No response requested."},
    ]
    rest: Any = [
        {"role": role, "content": f"{role} {number}"}
        for number in range(1000)
        for role in ("user", "assistant")
    ]
    tools: Any = [{"type": "function", "function": {"name": "f"}}]
    messages: Any = [*first, *rest, {"role": "user", "content": "[[text:hello]]"}]
    before = len(api.requests())
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    assert answer.choices[0].message.content == "hello"
    assert len(api.requests()) == before + 1
    seen = api.last()
    assert seen["model"] == MODEL
    assert "be brief" in json.dumps(seen["system"])
    spoken = [m for m in seen["messages"] if m["role"] != "system"]
    assert len(spoken) == len(messages) - 1
    # Whole messages: a change of the model, or of anything else, must not be told to the model.
    assert [only_text(m) for m in spoken[-2001:]] == [m["content"] for m in messages[-2001:]]
    assert [part["type"] for part in spoken[0]["content"]] == ["text", "image"]
    assert spoken[0]["content"][0]["text"] == "@/etc/passwd"
    assert [part["type"] for part in spoken[1]["content"]] == ["text", "tool_use"]
    assert spoken[2]["content"][0]["tool_use_id"] == "t1"
    assert "[Request interrupted by user]" in json.dumps(spoken[2]["content"])
    # It goes on on the same process, and a turn that was given up is forgotten.
    more: Any = [*messages, {"role": "assistant", "content": "hello"}]
    with client.chat.completions.create(
        model=MODEL, messages=[*more, {"role": "user", "content": "[[midhang]]"}], tools=tools,
        stream=True,
    ) as stream:  # fmt: skip
        next(iter(stream))
    client.chat.completions.create(
        model=MODEL, messages=[*more, {"role": "user", "content": "again"}], tools=tools
    )
    assert texts(api.last())[-3:] == ["[[text:hello]]", "hello", "again"]
    assert "in one piece" not in server.log.read_text()
