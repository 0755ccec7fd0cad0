"""``gatehouse pull`` and ``gatehouse bundle``: models from a hub, and models by disk. Declares; the work is engine's.

``register`` adds the commands to the program's own. Everything that is heavy is imported when a command runs.
"""

from __future__ import annotations

import queue
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import printer
from app.cli.opening import opened_product
from engine.errors import GatehouseError, HubError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.models.hub_access import HubAccess
    from app.paths import Paths
    from engine.fit.carried import Verdict
    from engine.hub.bundle import Arrival, Luggage
    from engine.hub.client import HubClient
    from engine.hub.download import Progress
    from engine.hub.queue import Status
    from engine.hub.repository import RemoteModel

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_TOKEN_LIMIT = 1_000
_TELL_EVERY_S = 0.25


def register(program: typer.Typer) -> None:
    """Add the commands of this module."""
    program.command()(pull)
    bundle = typer.Typer(
        name="bundle", help="Carry models by disk to machines without a network.", no_args_is_help=True
    )
    bundle.command(name="export")(export_bundle)
    bundle.command(name="import")(import_bundle)
    program.add_typer(bundle)


def pull(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A name of the catalogue, or OWNER/NAME[:FILE or quantization].")],
    quantization: Annotated[str | None, typer.Option("--quantization", "-q", help="Which one; else four bits.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a token of the hub, for gated models.")] = None,
    as_json: Json = False,
) -> None:
    """Download a model, or go on with a download; it is verified before it can be used."""
    paths: Paths = context.obj
    token = _token(token_file)
    with opened_product(paths) as product:
        access = product.hub_access(token)
        with access.client() as client:
            wanted = _resolve(client, model, quantization)
        started = time.monotonic()
        status = _fetch(wanted, paths.models, access)
    if status.receipt is None:
        raise status.error or HubError("cancelled", f"The download of {wanted.name} was stopped.")
    folder = paths.models / Path(*status.receipt.repo.split("/"))
    path = folder / status.receipt.files[0].name
    if as_json:
        seconds = round(time.monotonic() - started, 3)
        fields = {"model": wanted.name, "path": str(path), "size_bytes": wanted.size_bytes, "seconds": seconds}
        printer.as_json(fields | {"quantization": wanted.quantization, "receipt": asdict(status.receipt)})
    else:
        printer.line(f"{wanted.name}, {printer.size(wanted.size_bytes)}, verified: {path}")


def export_bundle(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="Names of downloaded models, or files.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the bundle.")],
    as_json: Json = False,
) -> None:
    """Copy models with their hashes and plans into a folder."""
    from engine.hub.bundle import export
    from engine.hub.disk import Disk
    from engine.hub.interrupt import Interrupt

    meter = _Meter()
    paths: Paths = context.obj
    luggage = [_planned(paths, _luggage(paths.models, name)) for name in models]
    packed = export(luggage, to, Interrupt(), meter.copied, Disk())
    meter.end()
    if as_json:
        printer.as_json([asdict(entry.receipt) for entry in packed])
    else:
        printer.line(f"{to} now holds {', '.join(entry.receipt.name for entry in packed)}.")


def import_bundle(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    only: Annotated[list[str] | None, typer.Option("--only", help="Name of a model; all, when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Take models over from a folder, verifying every byte, and say whether their plans hold here."""
    from engine.hub import bundle as bundles
    from engine.hub.disk import Disk
    from engine.hub.interrupt import Interrupt

    meter = _Meter()
    paths: Paths = context.obj
    arrivals = bundles.import_bundle(bundle, paths.models, Interrupt(), meter.copied, Disk(), only=only)
    meter.end()
    verdicts = _verdicts(paths, arrivals)
    if as_json:
        printer.as_json([_arrival_fields(arrival, verdicts) for arrival in arrivals])
    for arrival in arrivals:
        if arrival.error is not None:
            printer.complain(f"{arrival.packed.receipt.name}: {arrival.error}")
        elif not as_json:
            verdict = verdicts.get(arrival.packed.receipt.name)
            printer.line(
                f"{arrival.packed.receipt.name}: verified and ready. {verdict.sentence if verdict else ''}".rstrip()
            )
    if not arrivals:
        raise HubError("no_such_model", f"{bundle} holds no such model.")
    if any(arrival.error is not None for arrival in arrivals):
        raise typer.Exit(1)


def _resolve(client: HubClient, name: str, quantization: str | None) -> RemoteModel:
    """What the words on the command line mean on the hub now."""
    from engine.hub.catalogue import load_catalogue
    from engine.hub.download import resolve, resolve_variant
    from engine.hub.interrupt import Interrupt
    from engine.hub.repository import parse_source

    halt = Interrupt()
    known = load_catalogue().find(name)
    if known is not None:
        for catch in known.catches:
            sys.stderr.write(f"{catch}\n")
        return resolve_variant(client, known.variant(quantization), halt)
    if "/" not in name:
        raise HubError(
            "no_such_model",
            f"The catalogue knows no model “{name}”.",
            "Give a repository as OWNER/NAME or OWNER/NAME:Q4_K_M.",
        )
    return resolve(client, parse_source(name if quantization is None else f"{name}:{quantization}"), halt)


def _fetch(model: RemoteModel, models: Path, access: HubAccess) -> Status:
    """Download in a thread, so that an interrupt of the keyboard pauses instead of breaking off."""
    from engine.hub.queue import DownloadQueue

    told: queue.SimpleQueue[Status] = queue.SimpleQueue()
    meter = _Meter()
    downloads = DownloadQueue(access.downloading, models, told.put)
    try:
        downloads.add(model)
        while True:
            try:
                # Without a limit, Windows would not let an interrupt through.
                status = told.get(timeout=0.5)
            except queue.Empty:
                continue
            meter.show(status.progress, status.bytes_per_s, status.left_s)
            if status.state in ("done", "failed", "cancelled", "paused"):
                return status
    except KeyboardInterrupt:
        meter.end()
        sys.stderr.write("What has arrived is kept; the same command goes on with it.\n")
        raise
    finally:
        downloads.close()
        meter.end()


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    token = file.read_text("utf-8").strip()
    if not token or len(token) > _TOKEN_LIMIT or not token.isascii() or not token.isprintable():
        raise GatehouseError("bad_token", f"{file} does not hold a token.")
    return token


def _luggage(models: Path, name: str) -> Luggage:
    """A downloaded model by its name or a part of it, or a file of any model."""
    from engine.hub.bundle import Luggage
    from engine.hub.library import scan
    from engine.hub.verify import receipts

    if Path(name).is_file():
        (local,) = scan([], [Path(name)])
        if local.fault:
            raise GatehouseError("not_usable", local.fault)
        return Luggage(local.id, local.paths, None)
    there = receipts(models)
    found = [entry for entry in there if entry[0].name == name]
    found = found or [entry for entry in there if name.casefold() in entry[0].name.casefold()]
    if len(found) != 1:
        known = ", ".join(receipt.name for receipt, _ in (found or there)) or "none"
        which = "More than one downloaded model matches" if found else "There is no downloaded model"
        raise HubError("no_such_model", f"{which} {name!r}.", f"{'Matching' if found else 'There are'}: {known}.")
    receipt, folder = found[0]
    return Luggage(receipt.name, tuple(folder / file.name for file in receipt.files), receipt)


def _arrival_fields(arrival: Arrival, verdicts: dict[str, Verdict]) -> dict[str, object]:
    error = arrival.error
    told = None if error is None else {"code": error.code, "sentence": error.sentence, "hint": error.hint}
    verdict = verdicts.get(arrival.packed.receipt.name)
    plan = None if verdict is None else asdict(verdict)
    return {"receipt": asdict(arrival.packed.receipt), "error": told, "plan": plan}


def _planned(paths: Paths, piece: Luggage) -> Luggage:
    """With the plan that it has here, where it fits; the machine it goes to holds its own memory against it."""
    from dataclasses import replace

    from engine.fit.carried import write_plan
    from engine.fit.fit import fit
    from engine.fit.plan import Plan, Wish
    from engine.hardware.detect import detect

    try:
        plan = fit(piece.paths[0], Wish(), detect(paths.models, paths.cache))
    except GatehouseError:
        return piece  # a file that cannot be planned for can still be carried
    return replace(piece, plan_json=write_plan(plan)) if isinstance(plan, Plan) else piece


def _verdicts(paths: Paths, arrivals: Sequence[Arrival]) -> dict[str, Verdict]:
    """Of the plans that came along, by name."""
    plans = [(one, one.packed.plan_json) for one in arrivals if one.error is None]
    if not any(plan for _, plan in plans):
        return {}
    from engine.fit.carried import judge_carried
    from engine.hardware.detect import detect

    machine = detect(paths.models, paths.cache)
    return {
        one.packed.receipt.name: judge_carried(plan, one.path(paths.models), machine)
        for one, plan in plans
        if plan is not None
    }


class _Meter:
    """One line on a terminal that says how far it is; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._width = 0
        self._shown_s = float("-inf")

    def show(self, progress: Progress, bytes_per_s: float | None, left_s: float | None) -> None:
        done, total = progress.done_bytes, progress.total_bytes
        text = f"{progress.doing}  {done / max(total, 1):4.0%}  {printer.size(done)} of {printer.size(total)}"
        if bytes_per_s:
            text += f"  {printer.size(int(bytes_per_s))}/s"
        if left_s is not None:
            text += f"  {_span(left_s)} left"
        self._write(f"{text}  {progress.note}".rstrip())

    def copied(self, name: str, done: int, total: int) -> None:
        if time.monotonic() - self._shown_s >= _TELL_EVERY_S:
            self._shown_s = time.monotonic()
            self._write(f"{name}  {done / max(total, 1):4.0%}  {printer.size(done)} of {printer.size(total)}")

    def end(self) -> None:
        if self._width:
            self._write("")
            sys.stderr.write("\r")
            self._width = 0

    def _write(self, text: str) -> None:
        if self._is_terminal:
            sys.stderr.write("\r" + text.ljust(self._width))
            sys.stderr.flush()
            self._width = len(text)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
