"""Numbers to words: the only place where bytes, seconds and rates become text for the window.

Pure but for the language: wording goes through ``tr``, numbers through the given ``QLocale`` (the system's by default).
"""

from __future__ import annotations

import datetime as dt

from PySide6.QtCore import QCoreApplication, QLocale

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
NBSP = "\u00a0"
_LICENCES = {
    "apache-2.0": "Apache 2.0",
    "bsd-3-clause": "BSD 3-Clause",
    "cc-by-4.0": "CC BY 4.0",
    "cc-by-nc-4.0": "CC BY-NC 4.0",
    "cc0-1.0": "CC0",
    "gemma": "Gemma terms",
    "llama3": "Llama 3 terms",
    "llama3.1": "Llama 3.1 terms",
    "llama3.2": "Llama 3.2 terms",
    "llama3.3": "Llama 3.3 terms",
    "llama4": "Llama 4 terms",
    "mit": "MIT",
    "openmdw-1.1": "OpenMDW 1.1",
}


def byte_size(count: int, locale: QLocale | None = None) -> str:
    """``98362432`` → ``93.8 MiB``. Three digits at most before the unit changes."""
    size, unit = float(max(count, 0)), 0
    while size >= 999.5 and unit < len(_BINARY) - 1:
        size, unit = size / 1024, unit + 1
    digits = 0 if unit == 0 or size >= 99.95 else 1
    return f"{_number(size, digits, locale)}{NBSP}{_BINARY[unit]}"


def byte_pair(part: int, whole: int, locale: QLocale | None = None) -> str:
    """``5.1 of 23.4 GiB``, the unit said once when it is the same."""
    left, right = byte_size(part, locale), byte_size(whole, locale)
    if left.split(NBSP)[1] == right.split(NBSP)[1]:
        left = left.split(NBSP)[0]
    return _tr("%1 of %2").replace("%1", left).replace("%2", right)


def rate(bytes_s: float, locale: QLocale | None = None) -> str:
    """Memory bandwidth in decimal units, as makers print it: ``41.3 GB/s``."""
    return f"{_number(bytes_s / 1e9, 1, locale)}{NBSP}GB/s"


def line_rate(bytes_s: float, locale: QLocale | None = None) -> str:
    """The speed of a line in decimal units, as providers print it: ``23.4 MB/s``."""
    mega = bytes_s / 1e6
    if mega < 0.0995:
        return f"{_number(bytes_s / 1e3, 0, locale)}{NBSP}kB/s"
    return f"{_number(mega, 1 if mega < 99.95 else 0, locale)}{NBSP}MB/s"


def tokens(count: int, locale: QLocale | None = None) -> str:
    """``1 token``, ``4,096 tokens``."""
    return _tr("1 token") if count == 1 else _tr("%1 tokens").replace("%1", integer(count, locale))


def tokens_short(count: int, locale: QLocale | None = None) -> str:
    """A context as people say it: ``512``, ``8k``, ``128k``, ``1M``; exact powers of two only are shortened."""
    for unit, word in ((1 << 20, "M"), (1 << 10, "k")):
        if count >= unit and count % unit == 0:
            return f"{integer(count // unit, locale)}{word}"
    return integer(count, locale)


def speed(tok_s: float, locale: QLocale | None = None) -> str:
    """``23 tok/s``; below ten one decimal."""
    return f"{_number(tok_s, 0 if tok_s >= 9.95 else 1, locale)}{NBSP}tok/s"


def speed_band(low: float, high: float, locale: QLocale | None = None) -> str:
    """``18–24 tok/s``."""
    return f"{speed(low, locale).removesuffix(f'{NBSP}tok/s')}–{speed(high, locale)}"


def usd(amount: float, locale: QLocale | None = None) -> str:
    """``$0``, ``$0.0041``, ``$0.23``: to the hundredth of a cent below ten cents, whole cents above."""
    if amount <= 0:
        return "$0"
    if amount < 0.00005:
        return "<$0.0001"
    return f"${_number(amount, 4 if amount < 0.0995 else 2, locale)}"


def usd_per_mtok(amount: float | None, locale: QLocale | None = None) -> str:
    """The price of a million tokens: ``$0.25``; a dash when unknown."""
    return "—" if amount is None else f"${_number(amount, 2, locale)}"


def provider(name: str, model: str) -> str:
    """Who answers elsewhere, with the model: ``OpenAI · gpt-5-mini``."""
    return " · ".join(part for part in (name, model) if part)


def moment(then: float, locale: QLocale | None = None) -> str:
    """Exactly when: ``29 Dec 2025, 15:55:02``."""
    at = dt.datetime.fromtimestamp(then)  # noqa: DTZ006 - local time is meant
    month = (locale or QLocale()).monthName(at.month, QLocale.FormatType.ShortFormat)
    return f"{at.day} {month} {at.year}, {at:%H:%M:%S}"


def licence(identifier: str) -> str:
    """An SPDX identifier as people write it: ``apache-2.0`` → ``Apache 2.0``; what is not known stays as it is."""
    return _LICENCES.get(identifier.casefold(), identifier)


def duration(seconds: float, locale: QLocale | None = None) -> str:
    """``80 ms``, ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 0.0995:
        return f"{_number(max(seconds, 0) * 1000, 0, locale)}{NBSP}ms"
    if seconds < 9.95:
        return f"{_number(seconds, 1, locale)}{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{integer(whole, locale)}{NBSP}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min" + (f" {rest}{NBSP}s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    return f"{integer(hours, locale)}{NBSP}h" + (f" {minutes}{NBSP}min" if minutes else "")


def rough_duration(seconds: float, locale: QLocale | None = None) -> str:
    """An estimate: whole minutes from two on, quarters of an hour from two hours on."""
    if seconds < 120:
        return duration(seconds, locale)
    step = 60 if seconds < 7200 else 900
    return duration(round(seconds / step) * step, locale)


def parameters(count: int | None, locale: QLocale | None = None) -> str:
    """``135 M``, ``30.5 B``; an em dash when unknown."""
    if count is None:
        return "—"
    for unit, word in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= unit * 0.9995:
            value = count / unit
            return f"{_number(value, 0 if value >= 99.95 else 1, locale)}{NBSP}{word}"
    return integer(count, locale)


def integer(count: int, locale: QLocale | None = None) -> str:
    """Digits in groups: ``12,345``."""
    return str((locale or QLocale()).toString(count))


def percent(ratio: float, locale: QLocale | None = None) -> str:
    """``0.423`` → ``42 %`` (no space in English). Never says 100 before it is."""
    whole = 99 if 0.99 < ratio < 1 else round(ratio * 100)
    return f"{integer(whole, locale)}%"


def ago(then: float, now: float, locale: QLocale | None = None) -> str:
    """When something happened, as one would say it: ``just now``, ``5 min ago``, ``14:03``, ``Sun``, ``3 Nov``."""
    elapsed = now - then
    if elapsed < 60:
        return _tr("just now")
    if elapsed < 3600:
        return _tr("%1 min ago").replace("%1", integer(int(elapsed // 60), locale))
    moment, today = dt.datetime.fromtimestamp(then), dt.datetime.fromtimestamp(now).date()  # noqa: DTZ006 - local time is meant
    days = (today - moment.date()).days
    if days == 0:
        return moment.strftime("%H:%M")
    if days == 1:
        return _tr("Yesterday")
    names = locale or QLocale()
    if days < 7:
        return names.dayName(moment.isoweekday(), QLocale.FormatType.ShortFormat)
    month = names.monthName(moment.month, QLocale.FormatType.ShortFormat)
    return f"{moment.day} {month}" if moment.year == today.year else f"{moment.day} {month} {moment.year}"


def day_group(then: float, now: float) -> str:
    """The heading under which a list of conversations puts a moment."""
    today = dt.datetime.fromtimestamp(now).date()  # noqa: DTZ006 - local time is meant
    days = (today - dt.datetime.fromtimestamp(then).date()).days  # noqa: DTZ006
    if days <= 0:
        return _tr("Today")
    if days == 1:
        return _tr("Yesterday")
    if days < 7:
        return _tr("Last 7 days")
    return _tr("Last 30 days") if days < 30 else _tr("Older")


def _number(value: float, digits: int, locale: QLocale | None) -> str:
    # an int would choose the overload for whole numbers, which takes no format
    return str((locale or QLocale()).toString(float(value), "f", digits))


def _tr(text: str) -> str:
    return QCoreApplication.translate("display", text)
