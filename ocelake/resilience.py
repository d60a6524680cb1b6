"""Calls to systems outside: tried again with growing, random waits, and left alone while a system is down.

What passes by itself differs from system to system, so whoever knows the system says it (`Guard.transient`); time-outs
are the clients' own (`Resilience.call_seconds`). State is in `ocelake.metrics`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from tenacity import RetryCallState, Retrying, stop_before_delay, wait_random_exponential

from ocelake import metrics
from ocelake.errors import OcelakeError, Unreachable
from ocelake.settings import Resilience

__all__ = ["Guard"]

P = ParamSpec("P")
R = TypeVar("R")

_LOG: Final = logging.getLogger(__name__)
# What is down is down for every thread, so a process has one circuit for each place. purgatory does not lock.
_CIRCUITS: Final = SyncCircuitBreakerFactory()
_LOCK: Final = threading.Lock()
# Since when a system fails without an answer between, by the same names as the circuits.
_DOWN_SINCE: Final[dict[str, float]] = {}


class _LeftAlone(Exception):
    """The circuit is open. Each refusal has its own, since purgatory raises one object ever again, with each trace."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Makes calls to one system; may be shared by threads, and costs nothing to make.

    Attributes
    ----------
    system : str
        What is called, as a reader knows it: ``"catalog"``.
    place : str
        Where it is, without credentials: an address or a folder. One circuit serves all guards of a system and place.
    transient : callable
        Whether an exception may pass by itself, so that the call is worth making again. Any other shows that the system
        answers; it reaches the caller as it is.
    fix : str
        What a reader can do where it does not pass.
    settings : Resilience
        How patient it is.

    Examples
    --------
    >>> patience = Resilience(seconds=5)
    >>> guard = Guard("registry", "here", lambda error: isinstance(error, TimeoutError), "Start it.", patience)
    >>> guard.call(max, 1, 2)
    2
    """

    system: str
    place: str
    transient: Callable[[BaseException], bool]
    fix: str
    settings: Resilience

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that may safely be called again where it failed.

        An outage is waited for `Resilience.seconds`. A call that finds the system left alone, and down for longer than
        that, fails at once.

        Raises
        ------
        Unreachable
            Where it was given up; the last failure is its cause.
        """
        retrying = Retrying(
            retry=self._is_worth_it,
            wait=wait_random_exponential(self.settings.first_wait, self.settings.longest_wait),
            stop=stop_before_delay(self.settings.seconds),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            result: R = retrying(self._try, function, args, kwargs)
        except Exception as error:
            if not self._failed(error):
                raise
            metrics.FAILURES.labels(self.system, self.place).inc()
            if isinstance(error, Unreachable):  # it says all that there is to say
                raise
            raise Unreachable(
                f"The {self.system} did not do its part: {_brief(error)}.", where=self.place, fix=self.fix
            ) from error
        return result

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Let every call of a function be guarded: `Guard.call` as a decorator."""

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.call(function, *args, **kwargs)

        return guarded

    def _try(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        with self._circuit():
            return function(*args, **kwargs)

    @property
    def _name(self) -> str:
        return f"{self.system} {self.place}"

    @contextmanager
    def _circuit(self) -> Iterator[None]:
        """Refuse while the circuit is open; else tell it how the block ends."""
        with _LOCK:
            breaker = _CIRCUITS.get_breaker(
                self._name,
                threshold=self.settings.failures,
                ttl=self.settings.open_seconds,
                exclude=[(BaseException, self._is_answer)],
            )
            try:
                breaker.__enter__()
            except OpenedState:
                raise _LeftAlone from None
        try:
            yield
        except BaseException as error:
            with _LOCK:
                if self._is_answer(error):
                    _DOWN_SINCE.pop(self._name, None)
                else:
                    _DOWN_SINCE.setdefault(self._name, time.monotonic())
                breaker.__exit__(type(error), error, error.__traceback__)
            self._show(breaker.context.state)
            raise
        with _LOCK:
            _DOWN_SINCE.pop(self._name, None)
            breaker.__exit__(None, None, None)
        self._show(breaker.context.state)

    def _show(self, state: str) -> None:
        metrics.CIRCUIT_STATE.labels(self.system, self.place).state(state)

    def _is_answer(self, error: BaseException) -> bool:
        return not self.transient(error)

    def _failed(self, error: BaseException) -> bool:
        return isinstance(error, _LeftAlone) or self.transient(error)

    def _is_worth_it(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return False
        if isinstance(error, _LeftAlone) and state.attempt_number == 1:
            return time.monotonic() - _DOWN_SINCE.get(self._name, 0.0) < self.settings.seconds
        return self._failed(error)

    def _tell(self, state: RetryCallState) -> None:
        metrics.RETRIES.labels(self.system, self.place).inc()
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        if not isinstance(error, _LeftAlone):  # why it is left alone was told when it failed
            _LOG.warning(
                "The %s [%s] failed (%s); it is tried again in %.1f s.",
                self.system,
                self.place,
                _brief(error),
                wait,
            )


def _brief(error: BaseException | None) -> str:
    """Give the first line of what an exception says."""
    if isinstance(error, _LeftAlone):
        return "it failed several times in a row, and is left alone for a while"
    if isinstance(error, OcelakeError):
        return error.what.rstrip(".")
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
