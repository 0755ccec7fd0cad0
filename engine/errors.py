"""The errors that an environment can cause, each with a code, a sentence with the numbers, and a hint.

``GatehouseError``
├── ``ModelFileError``     a file that cannot be a model: not_gguf, truncated, overlong, damaged, shard_missing,
│                          not_a_model, unsupported, unreadable
├── ``DoesNotFit``         a model or context larger than what is free
├── ``ProbeFailed``        a short-lived child that hung, died or answered nonsense
├── ``WorkerError``        a worker that did not start, died, or stopped answering
├── ``RequestError``       a request that the worker refuses, with its HTTP status
├── ``HubError``           what a model hub, the way to it, or the disk did to a search or a download
├── ``StoreError``         (raised in ``app.store``) disk full, damaged, newer schema
└── ``VaultError``         (raised in ``app.vault``) a passphrase, a keyring or a key that is wrong, missing or locked

Anything that is not a ``GatehouseError`` is a bug of ours and goes to the crash page. Codes, not exceptions, cross
a process boundary.
"""

from __future__ import annotations


class GatehouseError(Exception):
    """A failure of the environment, told as a person would want to hear it.

    ``code`` is stable and machine-readable (``snake_case``); ``sentence`` says what happened, with the numbers;
    ``hint`` says what can be done, or is empty.
    """

    def __init__(self, code: str, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".rstrip()


class ModelFileError(GatehouseError):
    """A file that is not a usable GGUF model."""


class DoesNotFit(GatehouseError):
    """A model, or the context asked of it, needs more memory than is free."""


class ProbeFailed(GatehouseError):
    """A short-lived child process hung, died or answered nonsense."""


class WorkerError(GatehouseError):
    """A worker did not start, died, or stopped answering."""


class RequestError(GatehouseError):
    """A request that cannot be served; ``status`` is the HTTP status to answer with.

    ``retry_after_s``: when it may be worth another try.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        hint: str = "",
        *,
        status: int = 400,
        param: str | None = None,
        retry_after_s: int = 1,
    ) -> None:
        super().__init__(code, sentence, hint)
        self.status = status
        self.param = param
        self.retry_after_s = retry_after_s


class HubError(GatehouseError):
    """A hub, a mirror, the network on the way or the disk kept a model from arriving whole."""


class StoreError(GatehouseError):
    """The store cannot be opened or written: disk full, damaged, or written by a newer version."""


class VaultError(GatehouseError):
    """A key cannot be had or kept: wrong or missing passphrase, no keyring, a keyring that is locked.

    ``wait_s``: how long until another passphrase may be tried.
    """

    def __init__(self, code: str, sentence: str, hint: str = "", *, wait_s: float = 0.0) -> None:
        super().__init__(code, sentence, hint)
        self.wait_s = wait_s
