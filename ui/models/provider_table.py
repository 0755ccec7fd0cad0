"""Providers as rows."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QIcon

from app.gate.records import Provider
from ui import display, gate_words
from ui.icons import Icons
from ui.theme import ThemeStore
from ui.widgets.records_table import Field, RecordsTable


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    MODEL = 1
    TRUST = 2
    PRICE = 3
    KEY = 4


class ProviderTable(RecordsTable[Provider]):
    """In the order they were added."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject | None = None) -> None:
        def icon(provider: Provider) -> QIcon:
            return icons.icon("server" if provider.trust == "team" else "cloud", "outside", on="outside")

        fields: tuple[Field[Provider], ...] = (
            Field("Provider", lambda provider: provider.name, icon=icon, name=True),
            Field("Model", lambda provider: provider.model),
            Field("Trust", lambda provider: gate_words.trust_words(provider.trust)),
            Field(
                "Price in / out",
                price_words,
                tone=lambda provider: "muted" if provider.is_priced else "warning",
            ),
            Field("Key", _key_words, tone=_key_tone),
        )
        super().__init__(
            themes,
            fields,
            "providers",
            key=lambda provider: provider.id,
            tip=lambda provider: provider.base_url,
            parent=parent,
        )


def price_words(provider: Provider) -> str:
    """``$0.25 / $2.00``, ``free``, or ``not set``."""
    if not provider.is_priced:
        return _tr("not set")
    if not provider.input_usd_per_mtok and not provider.output_usd_per_mtok:
        return _tr("free")
    both = (provider.input_usd_per_mtok, provider.output_usd_per_mtok)
    return " / ".join(display.usd_per_mtok(price) for price in both)


def _key_words(provider: Provider) -> str:
    return _tr("stored") if provider.has_key else _tr("none")


def _key_tone(provider: Provider) -> str:
    keyless = "warning" if provider.trust == "cloud" else "muted"
    return "success" if provider.has_key else keyless


def _tr(text: str) -> str:
    return QCoreApplication.translate("providers", text)
