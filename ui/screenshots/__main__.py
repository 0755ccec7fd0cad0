"""``python -m ui.screenshots [--out FOLDER] [NAME …]``: renders the scenes, light and dark, without a screen."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

_SCALE = "1.5"


def main(arguments: list[str]) -> int:
    """Render; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ui.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--light", action="store_true", help="light pictures only")
    parser.add_argument("names", nargs="*", help="scenes; all when left out")
    chosen = parser.parse_args(arguments)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QT_SCALE_FACTOR"] = _SCALE
    os.environ["TZ"] = "UTC"
    if sys.platform != "win32":
        time.tzset()
    return _render(chosen.out, chosen.names, ("light",) if chosen.light else ("light", "dark"))


def _render(out: Path, names: list[str], looks: tuple[str, ...]) -> int:
    # Qt reads the environment when it is imported.
    from ui import plain_imports

    plain_imports.restore()
    from PySide6.QtCore import QLocale
    from PySide6.QtWidgets import QApplication

    from app.lanes import CoreThread
    from ui.screenshots import sample
    from ui.screenshots.scenes import SCENES
    from ui.screenshots.scenes_documents import DOCUMENT_SCENES
    from ui.screenshots.scenes_gate import GATE_SCENES
    from ui.screenshots.stage import Stage
    from ui.theme import ThemeStore

    scenes = (*SCENES, *DOCUMENT_SCENES, *GATE_SCENES)
    known = {scene.name for scene in scenes}
    unknown = set(names) - known
    if unknown:
        sys.stderr.write(f"No such scene: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(known))}.\n")
        return 2
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    app = QApplication(sys.argv[:1])
    app.setCursorFlashTime(0)
    themes = ThemeStore(app, "light", shipped_fonts=True)
    core = CoreThread()
    core.start()
    time.time = lambda: sample.NOW  # the pictures say "4 min ago" at every run
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for look in looks:
            assert look in ("light", "dark")
            for scene in scenes:
                if names and scene.name not in names:
                    continue
                stage = Stage(
                    app,
                    core,
                    Path(folder),
                    "dark" if look == "dark" else "light",
                    themes,
                    page=scene.page,
                    loaded=scene.loaded,
                    conversations=scene.conversations,
                    downloads=scene.downloads() if scene.downloads is not None else (),
                    furnished=scene.furnished,
                    papers=scene.papers,
                    width=scene.width,
                )
                scene.arrange(stage)
                stage.settle()
                target = out / f"{scene.name}-{look}.png"
                stage.picture().save(str(target))
                stage.close()
                sys.stdout.write(f"{target}\n")
    core.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
