"""What can be wrong with a document, in words. The codes travel from the reader to the pool as they are."""

from __future__ import annotations

from engine.errors import GatehouseError


class DocumentError(GatehouseError):
    """A document that cannot be read, or not wholly; the rest of a batch goes on.

    Codes: ``file_missing``, ``file_changed``, ``not_a_file``, ``unreadable``, ``empty_file``, ``too_large``,
    ``too_many_pixels``, ``unknown_kind``, ``unsupported_kind``, ``damaged``, ``bomb``, ``password_needed``,
    ``wrong_password``, ``no_such_page``, ``no_words``, ``no_recogniser``, and of the reader
    itself ``reader_memory``, ``reader_cpu_time``,
    ``reader_time``, ``reader_output``, ``reader_crashed``, ``reader_nonsense``, ``reader_not_started``,
    ``reader_failed``.
    """

    @property
    def wants_password(self) -> bool:
        """Whether another try with a (or another) password may open it."""
        return self.code in ("password_needed", "wrong_password")


def damaged(what: str, reason: object = "") -> DocumentError:
    """A file that says it is ``what`` (with its article), but is not wholly so."""
    said = str(reason).strip().rstrip(".")[:200]
    sentence = f"The file looks like {what}, but it is damaged or cut short{f' ({said})' if said else ''}."
    return DocumentError("damaged", sentence, "Fetch it again, or open and save it with the program that made it.")


def password_needed(given: bool) -> DocumentError:
    """An encrypted file without its password, or with a wrong one."""
    if given:
        return DocumentError("wrong_password", "The password does not open this file.", "Enter it again.")
    return DocumentError("password_needed", "The file is encrypted.", "Enter its password.")


def bomb(sentence: str) -> DocumentError:
    """A file that would unpack to far more than it is."""
    return DocumentError("bomb", sentence, "It may be made to harm; have a look at where it comes from.")
