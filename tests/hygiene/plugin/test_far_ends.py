"""The server's end of a connection that a test leaves open: a note, and no second leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


SERVER = """
        import http.client, http.server
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                if self.path == "/keep": KEEP.append(open(__file__))
                self.send_response(204); self.end_headers()
            def log_message(self, *args): pass
        @pytest.fixture(scope="module")
        def server():
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, daemon=True); thread.start()
            yield server.server_address
            if STOPS: server.shutdown(); thread.join(); server.server_close()
        def ask(server, path="/"):
            client = http.client.HTTPConnection(*server)
            client.request("GET", path); client.getresponse().read()
            return client
"""


def test_a_connection_that_a_test_has_left_open_is_no_leak_of_the_server(project: Project) -> None:
    """Its thread waits for the next request; neither the fixture nor the last test can help it."""
    write_suite(
        project,
        SERVER + """
        STOPS = True
        def test_leaks(server): KEEP.append(ask(server))
        @pytest.mark.allow_leak("sockets", reason="known")
        def test_may_leak(server): KEEP.append(ask(server))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one("test_leaks")["kind"] == "sockets"
    (note,) = (one for one in run.findings if one["severity"] == "note")
    assert (note["nodeid"], note["kind"]) == ("test_it.py::test_last", "threads")
    assert "has left open" in note["details"]["why"]
    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text


def test_the_servers_end_of_a_connection_need_not_be_true(project: Project) -> None:
    """A class derived from Python's own may say that it has nothing, or refuse to."""
    write_suite(
        project,
        SERVER + """
        STOPS = True
        class Odd(socket.socket):
            def __len__(self): raise RuntimeError("asked")
        def get_request(server):
            sock, address = server.socket.accept()
            return Odd(fileno=sock.detach()), address
        http.server.ThreadingHTTPServer.get_request = get_request
        def test_leaks(server): KEEP.append(ask(server))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.code == 1, run.text


def test_a_connection_of_a_fixture_that_ends_later_is_no_leak_of_the_server(
    project: Project,
) -> None:
    """A client of the session keeps its connection for the next module."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="session")
        def clients():
            clients = []
            yield clients
            KEEP.extend(clients)
            if CLOSES: clients[0].close()
        """ + SERVER + """
        STOPS = True
        def test_it(clients, server): clients.append(ask(server))
        """,
    )  # fmt: skip
    project.write("test_more.py", "def test_last(): pass")
    text = (project.path / "test_it.py").read_text()
    (project.path / "test_it.py").write_text(text + "CLOSES = True\n")
    run = project.run()
    run.assert_clean()
    (project.path / "test_it.py").write_text(text + "CLOSES = False\n")
    leaving = project.run()

    assert any("still holds" in one["details"].get("why", "") for one in run.notes), run.text
    assert leaving.one()["owner"]["name"] == "clients"


def test_a_connection_left_open_excuses_nothing_else_of_the_server(project: Project) -> None:
    """Neither its own thread, which leads to all connections, nor what a request has left."""
    write_suite(
        project,
        SERVER + """
        STOPS = False
        def test_leaks(server): KEEP.append(ask(server, "/keep"))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one("test_leaks")["kind"] == "sockets"
    left = {one["kind"] for one in run.failing if one["nodeid"].endswith("test_last")}
    assert left == {"threads", "sockets", "fds"}


def test_a_connection_left_open_is_no_leak_of_an_asyncio_server(project: Project) -> None:
    """Its task waits for the next line."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def server():
            async def handle(reader, writer): await reader.read(); writer.close()
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            yield server.sockets[0].getsockname()
            server.close()  # not wait_closed(): from 3.12.1 on that waits for the connections
        async def test_leaks(server): KEEP.append(await asyncio.open_connection(*server))
        async def test_last(server):
            _, writer = await asyncio.open_connection(*server)
            writer.close(); await writer.wait_closed()
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


def test_who_has_connected_answers_for_it_though_the_server_lives_on(project: Project) -> None:
    """A client of the module that is never closed is no far end of the session's server."""
    write_suite(
        project,
        SERVER.replace('scope="module"', 'scope="session"') + """
        STOPS = True
        class Client:
            def __init__(self, server): self.server, self.connections = server, []
            def ask(self): self.connections.append(ask(self.server))
        @pytest.fixture(scope="module")
        def client(server):
            client = Client(server); KEEP.append(client)
            yield client
        def test_it(client): client.ask()
        """,
    )  # fmt: skip
    project.write("test_more.py", "def test_last(): pass")
    run = project.run()

    assert run.one("test_it", kind="sockets")["owner"]["name"] == "client"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_the_server_of_one_test_is_left_with_a_connection_of_the_session(project: Project) -> None:
    """Its thread waits for what the session's client may ask the next test's server; a note."""
    write_suite(
        project,
        SERVER.replace('(scope="module")', "") + """
        STOPS = True
        @pytest.fixture(scope="session")
        def clients():
            clients = []
            yield clients
            for one in clients: one.close()
        def test_it(clients, server): clients.append(ask(server))
        def test_accepts(clients):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                clients.append(socket.create_connection(listener.getsockname()))
                KEEP.append(listener.accept()[0])
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one("test_accepts")["kind"] == "sockets"
    assert any("still holds" in one["details"].get("why", "") for one in run.notes), run.text
    assert run.outcomes == {"passed": 1, "leaked": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_what_a_server_accepts_that_a_fixture_begins_in_a_test_is_the_fixtures(
    project: Project, host: str
) -> None:
    """On a loop it has the context of the test. A client that is left is told, once, at its test."""
    project.write(
        "test_it.py",
        f"""
        import asyncio, pytest, pytest_asyncio, socket
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        KEEP = []
        async def echo(reader, writer):
            while data := await reader.read(9): writer.write(data)
            writer.close()
        class App:
            server, clients = None, ()
            async def address(self):
                if not self.server: self.server = await asyncio.start_server(echo, {host!r}, 0)
                return "127.0.0.1", self.server.sockets[0].getsockname()[1]
            async def connect(self):
                self.clients += (await asyncio.open_connection(*await self.address()),)
                reader, writer = self.clients[-1]
                writer.write(b"x"); await reader.read(1)
            async def close(self):
                for _, writer in self.clients: writer.close()
                self.server.close()
                await asyncio.sleep(0.01)
        @pytest_asyncio.fixture(loop_scope="module", scope="module")
        async def app():
            app = App(); yield app; await app.close()
        @pytest.fixture(scope="module")
        def listener():
            with socket.create_server(("127.0.0.1", 0)) as listener: yield listener
        async def test_begins(app): await app.connect()
        async def test_goes_on(app): await app.connect()
        async def test_leaks_a_client(app):
            reader, writer = await asyncio.open_connection(*await app.address())
            writer.write(b"x"); await reader.read(1); KEEP.append(writer)
        async def test_leaks_what_it_accepts_itself(listener):
            with socket.create_connection(listener.getsockname()): KEEP.append(listener.accept()[0])
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert [(one["nodeid"].partition("::")[2], one["kind"]) for one in run.failing] == [
        ("test_leaks_a_client", "sockets"), ("test_leaks_what_it_accepts_itself", "sockets"),
    ], run.text  # fmt: skip
    served = {one["kind"] for one in run.notes if "test_leaks_a_client" in one["details"]["why"]}
    assert served == {"sockets", "tasks"}
    assert len(run.notes) == 2


@pytest.mark.parametrize("scope", ["function", "module"])
def test_a_client_that_is_detached_is_not_told_of_the_server(project: Project, scope: str) -> None:
    """Two sockets are gone from their numbers then; the one that the server accepted, it has closed."""
    write_suite(
        project,
        f"""
        import socketserver
        class Handler(socketserver.BaseRequestHandler):
            def handle(self): self.request.recv(1)
        @pytest.fixture(scope="{scope}")
        def server():
            server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server.server_address
            server.shutdown(); thread.join(); server.server_close()
        def lose(server):
            client = socket.create_connection(server)
            client.sendall(b"x")
            while client.recv(1): pass
            client.detach()
        def test_leaks(server): lose(server)
        def test_after(server): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.one("test_leaks", kind="sockets")["origin"]["function"] == "lose"
