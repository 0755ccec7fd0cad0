"""The Chat page: conversations at the left, the transcript and the composer in the middle."""

from ui.pages.chat.page import ChatPage

__all__ = ["ChatPage"]
