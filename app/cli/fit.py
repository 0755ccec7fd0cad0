"""``gatehouse fit``: whether a model fits this machine or a described one; without a model, which to take.

Finds out what is meant (a file, a model on this machine, one of the catalogue, a repository on a hub), has the engine
plan it, and leaves the words to ``app.cli.fit_report``. Only a repository asks a hub, for the header alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from app.cli import fit_report, printer
from app.cli.fit_report import FitAnswer
from app.cli.opening import opened_product
from app.cli.options import Context, Users
from engine.errors import GatehouseError, HubError
from engine.fit.plan import Misfit, Profile, Wish
from engine.hardware.profile import Machine
from engine.hub.catalogue import Task

if TYPE_CHECKING:
    from app.paths import Paths
    from engine.fit.experience import Experience
    from engine.gguf.header import Header
    from engine.hub.catalogue import Catalogue, CatalogueModel

_SESSIONS_LIMIT = 256
EXIT_MISFIT = 3
"""It was answered, and the answer is no."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The machine, and what is wished of it."""

    machine: Machine
    described: bool
    wish: Wish
    experience: Experience


def register(program: typer.Typer) -> None:
    """Add the command."""
    program.command()(fit)


def fit(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="A GGUF file, a model here or of the catalogue (NAME[:QUANTIZATION]), or OWNER/NAME[:FILE]."
        ),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", help="Another machine: ram=16GiB,gpu=8GiB:448GB/s,cpu=50GB/s")
    ] = None,
    n_ctx: Context = None,
    sessions: Annotated[
        int | None, typer.Option("--sessions", min=1, max=_SESSIONS_LIMIT, help="At once; 4, or 1 to recommend for.")
    ] = None,
    users: Users = None,
    profile: Annotated[str, typer.Option("--profile", help="chat or documents: what to make quick.")] = "chat",
    task: Annotated[
        str, typer.Option("--task", help="What to recommend for: chat, code, reasoning, vision, extraction, embedding.")
    ] = "chat",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Whether a model fits, where it would lie and how fast it would be; without a model, which to take.

    Ends with 3 when the model does not fit.
    """
    one_of("--profile", profile, get_args(Profile))
    one_of("--task", task, get_args(Task))
    paths: Paths = context.obj
    # A recommendation is for one person unless somebody says otherwise.
    at_once = users or sessions or (4 if model else 1)
    wish = Wish(n_ctx=n_ctx, sessions=at_once, apart=users is not None, profile=cast("Profile", profile))
    subject = _subject(paths, machine, wish)
    if model is None:
        from engine.fit.recommend import recommend
        from engine.hub.catalogue import load_catalogue

        experience = subject.experience
        advice = recommend(load_catalogue(), subject.machine, cast("Task", task), wish, experience=experience)
        if as_json:
            printer.as_json(fit_report.advice_fields(advice))
        else:
            fit_report.print_advice(advice, subject.machine)
        return
    answer = answer_for(paths, model, subject)
    if as_json:
        printer.as_json(fit_report.fields_of(answer, subject.machine))
    else:
        fit_report.print_answer(answer, subject.machine)
    if isinstance(answer.answer, Misfit):
        raise typer.Exit(EXIT_MISFIT)


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ``GatehouseError`` for a word that the option does not know."""
    if value not in known:
        raise GatehouseError("bad_option", f"{option} knows no “{value[:40]}”.", f"It knows: {', '.join(known)}.")


def _subject(paths: Paths, description: str | None, wish: Wish) -> Subject:
    from engine.fit.experience import NO_EXPERIENCE

    if description is not None:
        from engine.fit.described import describe_machine

        return Subject(describe_machine(description), True, wish, NO_EXPERIENCE)
    from engine.fit.measured import Measurements
    from engine.hardware.detect import detect

    here = detect(paths.models, paths.cache)
    return Subject(here, False, wish, Measurements(paths.measurements).experience())


def answer_for(paths: Paths, name: str, subject: Subject) -> FitAnswer:
    """Plan for what ``name`` means. Raises: ``GatehouseError``."""
    from engine.gguf.split import read_model
    from engine.hub.catalogue import load_catalogue

    file = Path(name).expanduser()
    if file.is_file():
        return _exact(paths, read_model(file.absolute()), subject)
    local = _local(paths, name)
    if local is not None:
        return _exact(paths, read_model(local), subject)
    catalogue = load_catalogue()
    plain, _, quantization = name.partition(":")
    known = catalogue.find(plain)
    if known is not None:
        return _of_catalogue(known, quantization or None, subject)
    if "/" in name and not name.casefold().endswith(".gguf"):
        return _of_hub(paths, name, subject)
    if "/" in plain and quantization:
        return _of_hub(paths, name, subject)
    near = _local(paths, name, whole=False)
    if near is not None:
        return _exact(paths, read_model(near), subject)
    raise _unknown(name, catalogue)


def _unknown(name: str, catalogue: Catalogue) -> GatehouseError:
    low = name.casefold()
    near = [model.id for model in catalogue.models if low in model.id or low in model.name.casefold()]
    hint = (
        f"The catalogue has: {', '.join(near[:8])}."
        if near
        else "Give a GGUF file, a name of `gatehouse models`, or a repository as OWNER/NAME."
    )
    return HubError("no_such_model", f"There is no file and no model “{name[:120]}”.", hint)


def _local(paths: Paths, name: str, *, whole: bool = True) -> Path | None:
    """A model on this machine by its name; else by a part of one, if that leaves no doubt."""
    from engine.hub.library import scan

    models = scan([paths.models], (), paths.built_in_models, paths.cache / "models.json")
    low = name.casefold()
    found = [
        model.path
        for model in models
        if not model.fault and (model.id.casefold() == low or (not whole and low in model.id.casefold()))
    ]
    return found[0] if len(found) == 1 else None


def _exact(paths: Paths, header: Header, subject: Subject, *, traffic_bytes: int = 0) -> FitAnswer:
    from engine.fit.fit import fit_header
    from engine.gguf.split import display_name
    from engine.probe.remembered import RememberedProbe

    plan = fit_header(
        header,
        subject.wish,
        subject.machine,
        probe=RememberedProbe(paths.cache / "buffers.json"),
        experience=subject.experience,
        described=subject.described,
    )
    return FitAnswer(display_name(header), plan, True, traffic_bytes)


def _of_catalogue(model: CatalogueModel, quantization: str | None, subject: Subject) -> FitAnswer:
    from engine.fit.fit import fit_facts
    from engine.fit.sketched import sketch_facts

    facts = sketch_facts(model, model.variant(quantization))
    plan = fit_facts(facts, subject.wish, subject.machine, experience=subject.experience)
    return FitAnswer(facts.name, plan, False)


def _of_hub(paths: Paths, name: str, subject: Subject) -> FitAnswer:
    """From the header of a file on the hub: megabytes of traffic, whatever the file's size."""
    from engine.gguf.remote import sketch
    from engine.hub.download import resolve
    from engine.hub.interrupt import Interrupt
    from engine.hub.repository import parse_source

    halt = Interrupt()
    with opened_product(paths) as product, product.hub_access(None).client() as client:
        remote = resolve(client, parse_source(name), halt)
        sys.stderr.write(f"Reading the header of {remote.name} on {client.host} ...\n")
        hollow = sketch(client, remote, paths.cache / "plans", halt)
    return _exact(paths, hollow.header, subject, traffic_bytes=hollow.traffic_bytes)
