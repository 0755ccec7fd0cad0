"""Office files that were saved with a password: opened by msoffcrypto-tool, in memory and in a reader child only.

What lies inside is an office file like any other, and is looked at anew. Files of before 2007 are not read at all.
"""

from __future__ import annotations

import io
from typing import Final

from app.documents.faults import DocumentError, damaged, password_needed

_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARK: Final = "EncryptedPackage".encode("utf-16-le")


def is_locked_office(data: bytes) -> bool:
    """Whether an office file of today lies encrypted in it."""
    return data.startswith(_OLE) and _MARK in data


def unlocked(data: bytes, password: str | None) -> bytes:
    """The office file inside. Raises ``DocumentError``: ``password_needed``, ``wrong_password``, ``damaged`` ..."""
    if password is None:
        raise password_needed(given=False)
    from msoffcrypto import OfficeFile
    from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

    try:
        file = OfficeFile(io.BytesIO(data))
        file.load_key(password=password, verify_password=True)
        out = io.BytesIO()
        file.decrypt(out)
    except InvalidKeyError as error:
        raise password_needed(given=True) from error
    except DecryptionError as error:
        raise DocumentError(
            "unsupported_kind",
            "The office file is encrypted in a way that is not read: by a certificate or a server for rights, say.",
            "Open it with its program and save it with a password or without, or as a PDF.",
        ) from error
    except (FileFormatError, ParseError, MemoryError) as error:
        if isinstance(error, MemoryError):
            raise
        raise damaged("an encrypted office file", error) from error
    except Exception as error:  # on a broken file the parsers of its containers and of XML raise anything
        raise damaged("an encrypted office file", type(error).__name__) from error
    return out.getvalue()
