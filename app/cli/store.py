"""``gatehouse store …``: how the store is kept. Declares and prints; the work is ``app.vault``'s.

Nothing secret is an argument: passphrases and codes come from the terminal, a file or standard input. A change of the
key needs the store to itself, so the window must be closed for it.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import printer
from app.gate.label import Label
from app.vault.records import Due, Lock, Retention, VaultState
from engine.errors import VaultError

if TYPE_CHECKING:
    from app.paths import Paths
    from app.store.database import Connection
    from app.vault.vault import Vault

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(program: typer.Typer) -> None:
    """Add the commands of this module."""
    store = typer.Typer(name="store", help="How conversations are kept on this disk.", no_args_is_help=True)
    for command in (status, passphrase, unlock, lock, rotate, backup, restore, retention):
        store.command()(command)
    program.add_typer(store)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Whether the store is encrypted, what opens it, and what to do next. Opens nothing."""
    from app.vault.vault import Vault

    state = Vault(context.obj.database).state()
    if as_json:
        printer.as_json(asdict(state))
        return
    for text in in_words(state):
        printer.line(text)


def passphrase(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Back to the keyring, or to a plain store.")] = False,
    recovery: Annotated[bool, typer.Option("--recovery", help="Only make a new recovery code.")] = False,
) -> None:
    """Choose or change the passphrase; prints the recovery code, once."""
    from app.vault import changing, typing_in

    vault = _opened(context.obj)
    if remove:
        left = changing.remove_passphrase(vault)
        where = "The key is in the system's keyring." if left is Lock.KEYRING else "The store is no longer encrypted."
        printer.line(f"The passphrase is removed. {where}")
        return
    if recovery:
        code = changing.renew_recovery_code(vault)
    else:
        code = changing.set_passphrase(vault, typing_in.read_new())
        printer.line("The store is encrypted with your passphrase.")
    printer.line(f"Recovery code: {code}")
    printer.line("It opens the store if the passphrase is lost. Write it down: it is shown once and stored nowhere.")


def unlock(context: typer.Context) -> None:
    """Check a passphrase, or put a key that the keyring has lost back with the recovery code."""
    from app.vault import typing_in
    from app.vault.vault import Vault

    vault = Vault(context.obj.database)
    vault.unlock(typing_in.read("Passphrase or recovery code: ", from_stdin=True))
    printer.line("This opens the store.")


def lock(
    context: typer.Context,
    after: Annotated[
        str | None, typer.Option("--after", metavar="MINUTES", help='Lock an idle window after so long; or "never".')
    ] = None,
) -> None:
    """When an idle window locks the store. Ctrl+L in the window locks it at once."""
    from app.settings import Settings

    settings = Settings(context.obj.settings)
    if after is not None:
        if after != "never" and not (after.isdecimal() and 1 <= int(after) <= 1_440):
            raise VaultError("bad_minutes", f"{after!r} is no number of minutes.", 'From 1 to 1440, or "never".')
        settings.update(relock_minutes=None if after == "never" else int(after))
    minutes = settings.values.relock_minutes
    printer.line(
        "An idle window stays open." if minutes is None else f"An idle window locks the store after {minutes} minutes."
    )


def rotate(context: typer.Context) -> None:
    """Write the store anew under a new key; passphrase and recovery code stay."""
    from app.vault import changing

    vault = _opened(context.obj)
    started = time.monotonic()
    changing.rotate(vault)
    size = printer.size(vault.state().size_bytes)
    printer.line(f"The store, {size}, has a new key; that took {time.monotonic() - started:.1f} s.")


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write the copy.")],
    as_json: Json = False,
) -> None:
    """Write a copy of the store, also while the window is open."""
    from app.vault.backup import back_up

    vault = _opened(context.obj)
    written = back_up(vault, file.absolute())
    state = vault.state()
    if as_json:
        printer.as_json({"path": str(file), "size_bytes": written, "opens_with": state.lock.value})
        return
    printer.line(f"{file}, {printer.size(written)}. {opens_with(state)}")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A copy made by `gatehouse store backup`.")],
    code: Annotated[bool, typer.Option("--code", help="Ask for the recovery code.")] = False,
    as_json: Json = False,
) -> None:
    """Put a copy in the store's place; the present store is kept as a copy beside it."""
    from app.vault import backup as copies
    from app.vault import typing_in
    from app.vault.vault import Vault

    vault = Vault(context.obj.database)
    typed = None
    if code or copies.wants_passphrase(file):
        typed = typing_in.read("Passphrase or recovery code of the copy: ", from_stdin=True)
    done = copies.restore(vault, file, typed)
    if as_json:
        printer.as_json({**asdict(done), "kept_as": str(done.kept_as) if done.kept_as else None})
        return
    when = f" of {_day(done.made_at)}" if done.made_at else ""
    printer.line(f"The copy{when} is in place: {done.conversations:,} conversations.")
    if done.removed_again:
        printer.line(f"{done.removed_again:,} of them were removed by retention since, so they were taken out again.")
    if vault.state().lock is Lock.PLAIN:
        printer.line("The copy was not encrypted, so the store is not, until it gets a passphrase or a keyring's key.")
    if done.kept_as is not None:
        printer.line(f"The store that was there is kept as {done.kept_as}.")


def retention(
    context: typer.Context,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="LABEL=DAYS", help='E.g. confidential=90, or "=ever".')
    ] = None,
    hold: Annotated[
        str | None, typer.Option("--hold", metavar="ID", help="Legal hold: keep it whatever comes.")
    ] = None,
    release: Annotated[str | None, typer.Option("--release", metavar="ID", help="End a legal hold.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove what is listed. Cannot be undone.")] = False,
    as_json: Json = False,
) -> None:
    """How long things are kept, by label, and what would be removed. Removes nothing without --apply."""
    from app.vault import retention as rules

    vault: Vault = _opened(context.obj)
    with closing(_connection(vault)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for text in keep or ():
            label, days = _rule(text)
            rules.set_rule(connection, label, days)
        for item_id, held in ((hold, True), (release, False)):
            if item_id is not None:
                rules.hold(connection, item_id, held)
        found = rules.look(connection, time.time())
        removed = rules.remove(connection, [item.id for item in found.due], time.time()).count if apply else 0
        connection.execute("COMMIT")
    done = rules.shred_remains(vault, removed) if removed else None
    if as_json:
        plain = {**asdict(found), "keep_days": {label.value: days for label, days in found.keep_days.items()}}
        printer.as_json({**plain, "shredded": asdict(done) if done else None})
        return
    _print_retention(found)
    if done is not None:
        how = "the store has a new key, and the old one is gone" if done.sealed else "overwritten, in a plain store"
        copies = f"; {done.copies_removed} older copies removed" if done.copies_removed else ""
        printer.line(f"Removed {done.removed:,}: {how}{copies}.")
        printer.line("Copies that you made elsewhere still hold them until you delete those.")
    elif apply:
        printer.line("There was nothing to remove.")


def in_words(state: VaultState) -> list[str]:
    """What a person reads about the store."""
    lines = [f"{opens_with(state)} {printer.size(state.size_bytes)}."]
    if state.lock is Lock.PLAIN:
        lines += [state.reason, f"Next step: {state.next_step}"]
        lines.append("What the model remembers of chats is not kept on disk while the store is plain.")
        return lines
    lines.append("There is a recovery code." if state.has_recovery_code else "There is no recovery code.")
    lines.append(f"Last copy: {_day(state.backed_up_at) if state.backed_up_at else 'none yet'}.")
    return lines


def opens_with(state: VaultState) -> str:
    """What opens the store, or a copy made now."""
    match state.lock:
        case Lock.PLAIN:
            return "Not encrypted: anybody who can read the file can read it."
        case Lock.KEYRING:
            code = " or with the recovery code" if state.has_recovery_code else ""
            alone = "" if state.has_recovery_code else " It opens nowhere else: make a recovery code for that."
            return f"Encrypted; it opens with this login's keyring{code}.{alone}"
        case Lock.PASSPHRASE:
            return "Encrypted; it opens with the passphrase or the recovery code."


def _opened(paths: Paths) -> Vault:
    from app.vault import typing_in

    vault = typing_in.unlocked(paths, from_stdin=True)
    vault.open()
    return vault


def _connection(vault: Vault) -> Connection:
    from app.store.database import open_writer

    return open_writer(vault.database, vault.page_key)


def _rule(text: str) -> tuple[Label, int | None]:
    name, _, days = text.partition("=")
    try:
        return Label(name), None if days == "ever" else int(days)
    except ValueError:
        raise VaultError(
            "bad_rule", f"{text!r} is no rule.", f'LABEL=DAYS with {", ".join(Label)}; DAYS may be "ever".'
        ) from None


def _print_retention(found: Retention) -> None:
    rows = [(label.value, "for ever" if days is None else f"{days} days") for label, days in found.keep_days.items()]
    printer.table(("LABEL", "KEPT"), rows)
    if not found.due:
        printer.line("Nothing is due.")
        return
    printer.line("")
    printer.table(
        ("DUE", "KIND", "ID", "LABEL", "AGE", ""),
        [
            (
                _short(item),
                item.kind,
                item.id,
                item.label.value,
                f"{item.age_days} days",
                "legal hold" if item.held else "",
            )
            for item in found.due
        ],
    )


def _short(item: Due) -> str:
    return (Path(item.title).name if item.kind == "document" else item.title)[:40]


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
