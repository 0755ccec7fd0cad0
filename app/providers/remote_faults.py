"""The sentences for what providers and the way to them do wrong. Pure: a status or an exception in, an error out.

What a provider says itself is shown to the person, shortened and without the key; it is never logged.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from app.gate.records import Outcome, Provider
from engine.errors import GatehouseError

_LONGEST_WORDS: Final = 300
_KEY_LIKE: Final = re.compile(r"\b(?:sk|pk|key|hf|gsk|xai|AIza)[-_A-Za-z0-9*.…]{6,}", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_AGAIN: Final = "Nothing is sent again by itself."


class RemoteError(GatehouseError):
    """A provider, or the way to it, kept an answer from coming whole. What has arrived is kept."""

    def __init__(
        self, code: str, sentence: str, hint: str = "", *, outcome: Outcome, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, sentence, hint)
        self.outcome = outcome
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _Told:
    code: str
    sentence: str
    hint: str = ""


def refused(
    provider: Provider, status: int, body: object, retry_after_s: float | None = None, key: str | None = None
) -> RemoteError:
    """For an answer whose status is 4xx or 5xx."""
    name, words = provider.name, _words(body, key)
    told = _by_kind(provider, status, body) or _by_status(provider, status, retry_after_s)
    quoted = f" It says: {words}" if words and told.code not in ("wrong_key", "forbidden") else ""
    sentence = f"{told.sentence.format(name=name, status=status)}{quoted}"
    return RemoteError(told.code, sentence, told.hint, outcome=Outcome.REFUSED, retry_after_s=retry_after_s)


def _by_kind(provider: Provider, status: int, body: object) -> _Told | None:
    """What the body's own code says more exactly than the status."""
    kind = _field(body, "code") or _field(body, "type")
    if kind in ("context_length_exceeded", "exceed_context_size_error"):
        return _Told("too_long", "The conversation is too long for {name} ({status}).", "Leave messages out.")
    if kind == "insufficient_quota" or status == 402:
        return _Told(
            "no_credit", "{name} says that there is no credit left on this key ({status}).", "Top it up there."
        )
    if kind == "model_not_found":
        return _Told("no_such_model", f"{{name}} has no model “{provider.model[:100]}” for this key ({{status}}).")
    return None


def _by_status(provider: Provider, status: int, retry_after_s: float | None) -> _Told:
    if status == 429:
        wait = f"It asks to wait {retry_after_s:,.0f} s. {_AGAIN}" if retry_after_s else f"Try again later. {_AGAIN}"
        return _Told("rate_limited", "{name} has had too many requests on this key (429).", wait)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        wait = f"It asks to wait {retry_after_s:,.0f} s. {_AGAIN}" if retry_after_s else f"Try again later. {_AGAIN}"
        return _Told("server_error", "{name} has a fault of its own ({status}).", wait)
    return _Told("refused", "{name} refused the request ({status}).")


_BY_STATUS: Final = {
    400: _Told("bad_request", "{name} refused the request as wrong (400).", "Check the model's name and its limits."),
    401: _Told("wrong_key", "{name} does not accept the key: it is wrong, expired or withdrawn (401).", "Set another."),
    403: _Told("forbidden", "{name} does not let this key use the model, or not from here (403).", ""),
    404: _Told("not_found", "{name} has no such model or no such address (404).", "Check the model and the base URL."),
    408: _Told("timed_out", "{name} gave up waiting for the request (408).", f"Try again. {_AGAIN}"),
    409: _Told(
        "conflict", "{name} is busy with something that is in conflict with this (409).", f"Try again. {_AGAIN}"
    ),
    413: _Told("too_large", "The request is too large for {name} (413).", "Leave messages or documents out."),
    422: _Told(
        "bad_request", "{name} does not understand the request (422).", "Check the model's name and its limits."
    ),
}


def held_back(provider: Provider, left_s: float) -> RemoteError:
    """For a request while the time that the provider asked to wait is not over. Nothing was sent."""
    return RemoteError(
        "rate_limited",
        f"{provider.name} asked to wait; {left_s:,.0f} s are left, so nothing was sent.",
        "Ask again then, or choose another provider.",
        outcome=Outcome.UNREACHABLE,
    )


def failed(provider: Provider, error: BaseException, *, kind: str, sent: bool, began: bool) -> RemoteError:
    """For a request without an answer, or whose answer broke off.

    Args:
        kind: the name of the HTTP library's exception.
        sent: the request, or a part of it, has left.
        began: the answer had begun.
    """
    causes = _causes(error)
    outcome = Outcome.CUT if began else Outcome.UNREACHABLE
    told = _no_connection(kind, causes) if not sent else _broken(kind, began=began)
    return RemoteError(told.code, told.sentence.format(name=provider.name), told.hint, outcome=outcome)


def _no_connection(kind: str, causes: list[BaseException]) -> _Told:
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        hint = "Somebody may be reading along. If it is your own server, add its certificate to the system's."
        return _Told("untrusted_certificate", "{name} shows a certificate that is not trusted. Nothing was sent.", hint)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        hint = "Check the address: it may speak http, or need another port."
        return _Told("tls_failed", "No encrypted connection to {name} came about. Nothing was sent.", hint)
    if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
        hint = "Check the address and the network."
        return _Told("name_not_found", "The name of {name}'s server could not be found. Nothing was sent.", hint)
    if kind == "ProxyError":
        return _Told("proxy_refused", "The proxy did not let a connection to {name} through.")
    if "Timeout" in kind:
        return _Told(
            "unreachable", "{name} did not accept a connection in time. Nothing was sent.", "Check the network."
        )
    return _Told("unreachable", "{name} cannot be reached. Nothing was sent.", "Check the network and the address.")


def _broken(kind: str, *, began: bool) -> _Told:
    if kind == "ReadTimeout":
        if began:
            return _Told("stalled", "{name} fell silent in the middle of its answer; what had come is kept.", _AGAIN)
        return _Told("no_answer", "{name} took the request and did not answer in time.", _AGAIN)
    if kind == "RemoteProtocolError" and not began:
        return _Told("bad_answer", "{name} does not answer as a web server does.", "Check the address.")
    if began:
        return _Told("cut_off", "The connection to {name} broke off in mid-answer; what had come is kept.", _AGAIN)
    return _Told("cut_off", "The connection to {name} broke off before it answered.", _AGAIN)


def unfinished(provider: Provider) -> RemoteError:
    """For a stream that ended without saying that the answer was over."""
    sentence = f"{provider.name} stopped in mid-answer without saying why; what had come is kept."
    return RemoteError("cut_off", sentence, _AGAIN, outcome=Outcome.CUT)


def nonsense(provider: Provider, what: str) -> RemoteError:
    """For an answer that is none. ``what`` is ours, never the provider's."""
    return RemoteError(
        "bad_answer",
        f"{provider.name} gave an answer that makes no sense: {what}.",
        "Check the base URL, e.g. whether it ends with /v1.",
        outcome=Outcome.CUT,
    )


def endless(provider: Provider, characters: int) -> RemoteError:
    """For an answer that went on beyond what it was allowed."""
    sentence = f"The answer of {provider.name} did not end; it was cut off after {characters:,} characters."
    return RemoteError("endless", sentence, "What had come is kept.", outcome=Outcome.CUT)


def late(provider: Provider, body: object, key: str | None) -> RemoteError:
    """For an error inside a stream that had begun well."""
    words = _words(body, key)
    said = f" It says: {words}" if words else ""
    sentence = f"{provider.name} broke its answer off with an error; what had come is kept.{said}"
    return RemoteError("broken_off", sentence, _AGAIN, outcome=Outcome.CUT)


def _words(body: object, key: str | None) -> str:
    """What the provider says, fit to be shown: one line, bounded, without anything that looks like a key."""
    text = _field(body, "message") or _field(body, "detail")
    if key:
        text = text.replace(key, "…")
    text = _KEY_LIKE.sub("…", _UNPRINTABLE.sub(" ", text)).strip()
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "…"


def _field(body: object, name: str) -> str:
    if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
        inner = body["error"]
        body = inner if isinstance(inner, dict) else {"message": inner}
    value = body.get(name) if isinstance(body, dict) else None
    return value[:10_000] if isinstance(value, str) else ""


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found and len(found) < 12:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
