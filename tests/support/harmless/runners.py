"""What pytest, unittest and other plugins make around a test."""

from __future__ import annotations

import pytest

from support.harmless.case import Harmless

__all__ = ["RUNNERS"]

RUNNERS = (
    Harmless("patched_clocks_and_file_functions", """
        @pytest.fixture(autouse=True, scope="module")
        def patched():
            with pytest.MonkeyPatch.context() as patch:
                for name in ("listdir", "fstat"): patch.setattr(os, name, None)
                for name in ("sleep", "monotonic", "perf_counter"): patch.setattr(time, name, None)
                patch.setattr("builtins.open", None)
                patch.setattr("io.open", None)
                yield
        @again
        def test_it(again):
            file = io.FileIO("/proc/self/stat"); os.dup2(file.fileno(), 100); os.close(100)
            child = subprocess.Popen(["true"]); child.wait()
            thread = threading.Thread(target=int); thread.start(); thread.join()
            _thread.start_new_thread(int, ())
            raise_late = threading.Timer(0.05, file.close); raise_late.start()
        """, waits=True, args=("-s",)),
    Harmless("unittest_cases_that_clean_up", """
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.shared = open(__file__); cls.addClassCleanup(cls.shared.close)
            def setUp(self):
                self.file = open(__file__); self.addCleanup(self.file.close)
            def test_a(self): self.enterContext(socket.socket())
            def test_b(self):
                for number in range(3):
                    with self.subTest(number): pass
            @unittest.skip("not now")
            def test_c(self): raise AssertionError
            @unittest.expectedFailure
            def test_d(self): raise AssertionError
        class Async(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                self.task = asyncio.create_task(asyncio.sleep(1000))
            async def asyncTearDown(self):
                self.task.cancel()
            async def test_a(self): await asyncio.sleep(0)
            async def test_b(self): await asyncio.to_thread(int)
        """),
    Harmless("pytest_fixtures_of_its_own", """
        @again
        def test_capfd(capfd, again): print("x"); os.write(1, b"y"); assert capfd.readouterr().out
        @again
        def test_capsysbinary(capsysbinary, again): print("x")
        @again
        def test_caplog(caplog, again):
            with caplog.at_level("DEBUG"): logging.getLogger("x").debug("hi")
            assert caplog.records
        @again
        def test_tmp_path(tmp_path, again): (tmp_path / "x").write_text("y")
        @again
        def test_monkeypatch(monkeypatch, tmp_path, again):
            monkeypatch.setenv("A", "b"); monkeypatch.chdir(tmp_path)
            monkeypatch.setattr(sys, "excepthook", int); monkeypatch.syspath_prepend("x")
        @again
        def test_recwarn(recwarn, again): warnings.warn("x"); assert recwarn.pop()
        def test_raises():
            with pytest.raises(ZeroDivisionError), pytest.warns(UserWarning):
                warnings.warn("x"); 1 / 0
        def test_session_folder(tmp_path_factory): tmp_path_factory.mktemp("x")
        """),
    Harmless("dump_of_tracebacks_after_a_timeout", """
        @again
        def test_it(again): pass
        """, args=("-o", "faulthandler_timeout=60")),
    Harmless("pytest_timeout_by_signal", """
        @pytest.fixture(scope="module")
        def wide(): yield
        @pytest.fixture
        def narrow(wide): yield
        @again
        def test_it(narrow, again): pass
        class TestOne:
            @pytest.mark.timeout(30)
            def test_it(self): pass
        """, plugins=("timeout",), args=("--timeout=60", "--timeout-method=signal")),
    Harmless("pytest_timeout_by_thread", """
        @pytest.fixture(scope="module")
        def wide(): yield
        @pytest.fixture
        def narrow(wide): yield
        @again
        def test_it(narrow, again): pass
        def test_other(): pass
        """, plugins=("timeout",), args=("--timeout=60", "--timeout-method=thread")),
    Harmless("pytest_timeout_of_the_function_only", """
        @again
        def test_it(again): pass
        """, plugins=("timeout",),
        args=("--timeout=60", "-o", "timeout_func_only=true", "--timeout-method=signal")),
    Harmless("hypothesis", """
        from hypothesis import given, settings, strategies as st
        @settings(max_examples=20, deadline=None)
        @given(st.integers())
        def test_it(number):
            with open(__file__) as file: pass
        @given(st.text())
        @settings(max_examples=5, database=None)
        def test_other(text): pass
        """, plugins=("hypothesispytest",)),
    Harmless("doctests", '''
        def double(number):
            """
            >>> double(2)
            4
            """
            return number * 2
        ''', args=("--doctest-modules", "-W", "ignore"), head=False),
    Harmless("subtests", """
        def test_it(subtests):
            for number in range(3):
                with subtests.test(number=number), open(__file__): pass
        """, plugins=() if pytest.version_tuple >= (9,) else ("subtests",)),  # built in since
    Harmless("skipped_expected_and_parametrized_tests", """
        @pytest.mark.skip(reason="x")
        def test_skip(): raise AssertionError
        def test_skip_inside(): pytest.skip("x")
        @pytest.mark.xfail(strict=True)
        def test_xfail(): raise AssertionError
        def test_xfail_inside(): pytest.xfail("x")
        @pytest.mark.parametrize("x", range(5))
        @pytest.mark.parametrize("y", "ab")
        def test_both(x, y): pass
        @pytest.mark.skipif(True, reason="x")
        class TestSkip:
            def test_a(self): pass
        """),
    Harmless("warnings_filters_that_pytest_restores", """
        @again
        def test_it(again):
            warnings.simplefilter("error"); warnings.filterwarnings("ignore", "x")
        """),
)  # fmt: skip
