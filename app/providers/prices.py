"""What an answer costs, before and after. Pure; prices are the person's, per million tokens, in US dollars."""

from __future__ import annotations

from app.gate.records import Provider

_PER_MILLION = 1_000_000


def cost_usd(provider: Provider, prompt_tokens: int, completion_tokens: int) -> float | None:
    """``None`` when the provider has no prices."""
    if provider.input_usd_per_mtok is None or provider.output_usd_per_mtok is None:
        return None
    spent = prompt_tokens * provider.input_usd_per_mtok + completion_tokens * provider.output_usd_per_mtok
    return spent / _PER_MILLION


def cost_usd_at_most(provider: Provider, prompt_tokens: int, max_tokens: int | None) -> float | None:
    """With the longest answer that may come. ``prompt_tokens`` is about: a quarter is added for another vocabulary.

    Without ``max_tokens`` the rest of the provider's context may be filled; unknown, when that is not known either.
    """
    longest = max_tokens
    if longest is None and provider.n_ctx is not None:
        longest = max(0, provider.n_ctx - prompt_tokens)
    if longest is None:
        return 0.0 if cost_usd(provider, 1, 1) == 0.0 else None
    return cost_usd(provider, prompt_tokens + prompt_tokens // 4 + 16, longest)
