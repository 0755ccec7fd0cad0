"""Steps run in order, look before they act, and stop at the first that fails."""

from io import StringIO

from installers.console import Console
from installers.steps import Step, StepFailed, run_steps


def test_only_what_is_missing_is_done(console: Console, said: StringIO) -> None:
    acted: list[str] = []
    steps = [
        Step("First", lambda: None, lambda: acted.append("first")),
        Step("Second", lambda: "not there", lambda: acted.append("second")),
    ]
    assert run_steps(steps, console)
    assert acted == ["second"]
    assert said.getvalue().splitlines() == ["[1/2] First: ready", "[2/2] Second: not there"]


def test_a_failed_step_says_which_why_and_how_and_ends_it(console: Console, said: StringIO) -> None:
    acted: list[str] = []

    def fail() -> None:
        raise StepFailed("The disk is full.", "free 2 GB.")

    steps = [Step("Build", lambda: "missing", fail), Step("After", lambda: "missing", lambda: acted.append("after"))]
    assert not run_steps(steps, console)
    assert acted == []
    text = said.getvalue()
    assert "stopped at: Build" in text
    assert "why: The disk is full." in text
    assert "how to go on: free 2 GB." in text


def test_a_step_whose_look_fails_is_a_failed_step(console: Console, said: StringIO) -> None:
    def look() -> str | None:
        raise StepFailed("uv could not be started.", "install it.")

    assert not run_steps([Step("uv", look, lambda: None)], console)
    assert "stopped at: uv" in said.getvalue()


def test_without_a_terminal_progress_is_said_now_and_then(said: StringIO) -> None:
    console = Console(said, quiet_s=3600)
    for number in range(50):
        console.progress(f"{number} of 50")
    console.progress("50 of 50", last=True)
    assert said.getvalue().splitlines() == ["0 of 50", "50 of 50"]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_stays_on_one_line() -> None:
    screen = Terminal()
    console = Console(screen)
    console.progress("1 of 2")
    console.progress("2 of 2", last=True)
    console.line("done")
    assert screen.getvalue().count("\n") == 2
    assert screen.getvalue().startswith("1 of 2\r      \r2 of 2\n")
