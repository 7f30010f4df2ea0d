"""Handlers and filters of loggers."""

from __future__ import annotations

import logging
import logging.config
import re
import weakref

import pytest
from hygiene.trackers.listeners.probe import LOGGER, Probe, functions_of


class TestLogging:
    def test_handler_is_added_until_removed(self, probe: Probe) -> None:
        """A handler left on a logger is listed with its origin, and gone once removed."""
        logger, handler = logging.getLogger(LOGGER), logging.StreamHandler()
        logger.addHandler(handler)
        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"handler StreamHandler on logger {LOGGER!r}"
        )
        assert functions_of(probe.tracker.creation(key, value))[0] == (
            "test_handler_is_added_until_removed"
        )
        assert probe.tracker.anchor(key, value) is handler

        logger.removeHandler(handler)

        assert not probe.added()

    def test_handler_put_into_the_list_is_seen(self, probe: Probe) -> None:
        """Without addHandler() a new handler changes the reading; its origin is where it was made."""
        handler = logging.NullHandler()
        logging.getLogger(LOGGER).handlers.append(handler)

        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        creation = probe.tracker.creation(key, value)
        assert "test_handler_put_into_the_list_is_seen" in functions_of(creation)

    def test_handlers_that_are_gone_are_forgotten(self, probe: Probe) -> None:
        """What is known of a handler's making ends with the handler."""
        handler = logging.NullHandler()
        assert id(handler) in probe.tracker._logging._born

        del handler
        probe.tracker.forget()

        assert not [made for made, _ in probe.tracker._logging._born.values() if made() is None]

    def test_a_handler_that_has_nothing_is_not_gone(self, probe: Probe) -> None:
        """A handler may be a collection, of records, say, and none of them be there yet."""

        class Records(logging.Handler):
            def __len__(self) -> int:
                return 0

        handler = Records()
        probe.tracker.forget()
        logging.getLogger(LOGGER).handlers.append(handler)

        [(key, value)] = probe.added().items()
        assert "test_a_handler_that_has_nothing_is_not_gone" in functions_of(
            probe.tracker.creation(key, value)
        )

    def test_root_handler_is_on_the_root_logger(self, probe: Probe) -> None:
        """The root logger has no name, and is called what it is."""
        handler = logging.NullHandler()
        logging.root.addHandler(handler)
        try:
            assert probe.summaries() == ["handler NullHandler on the root logger"]
        finally:
            logging.root.removeHandler(handler)

    @pytest.mark.parametrize("place", ["logger", "handler"])
    def test_filter_is_added_until_removed(self, probe: Probe, place: str) -> None:
        """Filters count on loggers and on their handlers, functions among them."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        probe.rebase()
        owner: logging.Filterer = logger if place == "logger" else handler

        def accept(record: logging.LogRecord) -> bool:
            return True

        owner.addFilter(accept)
        [(key, value)] = probe.added().items()
        summary = probe.tracker.describe(key, value).summary

        assert re.match(
            rf"filter {__name__}.*\.accept on (handler NullHandler of )?logger", summary
        )
        assert "test_filter_is_added_until_removed" in functions_of(
            probe.tracker.creation(key, value)
        )
        assert probe.tracker.kept_in(key, value) == LOGGER

        owner.removeFilter(accept)

        assert not probe.added()

    def test_filter_without_weak_references_is_seen(self, probe: Probe) -> None:
        """A filter that cannot be referred to weakly is listed all the same."""

        class Slotted:
            __slots__ = ()

            def filter(self, record: logging.LogRecord) -> bool:
                return True

        logging.getLogger(LOGGER).addFilter(Slotted())
        [(key, value)] = probe.added().items()

        assert probe.tracker.creation(key, value) is not None
        assert probe.tracker.anchor(key, value) is None

    @pytest.mark.parametrize("times", [1, 5])
    def test_configuration_run_again_is_no_growth(self, probe: Probe, times: int) -> None:
        """New handlers that dictConfig() puts where old ones of their class were add nothing."""
        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"all": {"name": ""}},
            "handlers": {"null": {"class": "logging.NullHandler", "filters": ["all"]}},
            "loggers": {LOGGER: {"handlers": ["null"]}},
        }
        logging.config.dictConfig(config)
        probe.rebase()

        for _ in range(times):
            logging.config.dictConfig(config)

        assert not probe.added()
        assert not probe.replaced()

    def test_second_handler_of_a_class_is_growth(self, probe: Probe) -> None:
        """One more handler of a class that was there is added, and the new one is named."""
        logger = logging.getLogger(LOGGER)
        logger.addHandler(logging.NullHandler())
        probe.rebase()
        second = logging.NullHandler()

        logger.addHandler(second)
        [(key, value)] = probe.added().items()

        assert probe.tracker.anchor(key, value) is second

    def test_handler_added_again_is_still_the_first(self, probe: Probe) -> None:
        """addHandler() with a handler that is there does nothing, and records nothing."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        reading = probe.tracker.reading()

        logger.addHandler(handler)

        assert probe.tracker.reading() == reading

    def test_the_runners_handlers_are_ignored(
        self, probe: Probe, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The handlers of pytest come and go without being listed, counted or recorded."""
        logger = logging.getLogger(LOGGER)
        reading = probe.tracker.reading()

        logger.addHandler(caplog.handler)

        assert not probe.added()
        assert probe.tracker.reading() == reading

    def test_handler_dies_after_it_was_listed(self, probe: Probe) -> None:
        """We keep no handler alive."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        listed = probe.listed()
        ref = weakref.ref(handler)

        logger.removeHandler(handler)
        del handler

        assert ref() is None
        assert listed

    def test_records_of_live_handlers_survive_forget(self, probe: Probe) -> None:
        """forget() drops what was removed, and keeps where a live handler was added."""
        logger, gone, kept = logging.getLogger(LOGGER), logging.NullHandler(), logging.Handler()
        logger.addHandler(gone)
        logger.addHandler(kept)
        logger.removeHandler(gone)

        probe.tracker.forget()
        [(key, value)] = probe.added().items()

        assert probe.tracker.creation(key, value) is not None
        assert len(probe.tracker._logging._made) == 1

    def test_a_crowd_is_counted_by_logger(self, probe: Probe) -> None:
        """The limit is asked about each logger's handlers."""
        for _ in range(11):
            logging.getLogger(LOGGER).addHandler(logging.NullHandler())

        assert (f"logger {LOGGER!r}", "handler", 11) in probe.limits()
