"""Where the store's key comes from, and everything that is done with it.

``vault`` is the one door: opening at the start, passphrase and lock, derived keys, secrets by name. Behind it are
``records``, ``derive`` (HKDF), ``wrapping`` (Argon2id, AES-GCM, recovery codes), ``keyfile`` (what is written about the
key), ``keyring`` and ``keyring_child``, ``sealed_secrets``; ``moving`` writes a store anew under another key,
``backup`` and ``retention`` use it.
"""
