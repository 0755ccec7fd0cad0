"""The sentences for what a hub and the way to it do wrong. Pure: an answer or an exception in, an error out."""

from __future__ import annotations

import ssl

import httpx2

from engine.errors import HubError
from engine.hub.patience import Hiccup, asked_pause_s

_GO_ON = "Try again; a download goes on where it stopped."
_TOKEN_HINT = "If it is private or gated, give Gatehouse a token of an account that may read it."


def refused(response: httpx2.Response, what: str, *, with_token: bool) -> HubError | Hiccup:
    """For an answer whose status is not 2xx. ``what`` names the repository or file that was asked for."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    host = response.request.url.host
    if status in (429, 408) or status >= 500:
        return _busy(response, host)
    if code == "GatedRepo":
        return _gated(what, host, with_token=with_token)
    return _refused(response, what, host, with_token=with_token)


def _refused(response: httpx2.Response, what: str, host: str, *, with_token: bool) -> HubError:
    status = response.status_code
    if status == 401 and with_token:
        fault = ("token_refused", f"{host} does not accept the token that was sent for {what}.", "Renew the token.")
    elif response.headers.get("X-Error-Code", "") == "RevisionNotFound":
        fault = ("no_such_revision", f"{host} knows no such revision of {what}.", "")
    elif status in (401, 404):
        fault = ("not_found", f"{host} holds no {what}, or it is private.", _TOKEN_HINT)
    elif status in (403, 451):
        reason = response.headers.get("X-Error-Message", "")[:200]
        fault = ("refused", f"{host} refuses to give out {what} ({status}). {reason}".rstrip(), "")
    elif status == 407:
        fault = ("proxy_refused", "The proxy on the way to the hub asks for a name and a password.", "")
    else:
        fault = ("wrong_answer", f"{host} answered {status} when asked for {what}.", "")
    return HubError(*fault)


def _busy(response: httpx2.Response, host: str) -> Hiccup:
    asked = asked_pause_s(response.headers.get("Retry-After"))
    if response.status_code == 429:
        wait = f"It asks to wait for {asked:,.0f} s." if asked else "Try again later; a token raises the limit."
        return Hiccup(HubError("rate_limited", f"{host} has had too many requests from here (429).", wait), asked)
    error = HubError("server_error", f"{host} has a fault of its own ({response.status_code}).", "Try again later.")
    return Hiccup(error, asked)


def _gated(what: str, host: str, *, with_token: bool) -> HubError:
    if with_token:
        return HubError(
            "gated",
            f"The token's owner has not been let in to {what}.",
            f"Open its page on {host}, agree to its terms, and wait until you are let in.",
        )
    return HubError(
        "gated",
        f"{what} is given out only to those who agreed to its terms.",
        f"Open its page on {host}, agree, and give Gatehouse a token of that account.",
    )


def failed(error: httpx2.RequestError, host: str) -> HubError | Hiccup:
    """For a request that got no answer, or whose answer broke off."""
    return _lasting(error, host) or Hiccup(_passing(error, host))


def _lasting(error: httpx2.RequestError, host: str) -> HubError | None:
    """What trying again will not mend."""
    if isinstance(error, httpx2.TooManyRedirects):
        hint = "Check the mirror or the proxy."
        return HubError("redirect_loop", f"{host} sends in circles: too many redirects.", hint)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return HubError("wrong_answer", f"{host} redirects to an address that is neither http nor https.")
    if isinstance(error, httpx2.ConnectError) and _is_untrusted(error):
        return HubError(
            "untrusted_certificate",
            f"{host} shows a certificate that this machine does not trust.",
            "A proxy may be reading along; add its certificate to the system's, or use another network.",
        )
    return None


def _passing(error: httpx2.RequestError, host: str) -> HubError:
    if isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return HubError("unreachable", f"{host} did not accept a connection in time.", "Check the network.")
    if isinstance(error, httpx2.TimeoutException):
        return HubError("stalled", f"{host} fell silent in the middle.", _GO_ON)
    if isinstance(error, httpx2.ProxyError):
        return HubError("proxy_refused", f"The proxy did not let a connection to {host} through.")
    if isinstance(error, httpx2.ConnectError):
        return HubError("unreachable", f"{host} cannot be reached.", "Check the network, the proxy or the mirror.")
    return HubError("cut_off", f"The connection to {host} broke off.", _GO_ON)


def _is_untrusted(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def wrong_answer(host: str, what: str) -> HubError:
    return HubError(
        "wrong_answer", f"{host} gave an answer that makes no sense: {what}.", "Check the mirror or the proxy."
    )
