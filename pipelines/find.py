"""Finding the pipeline a user means: a name in ``./pipelines/*.py``, a file, or ``file.py:name``.

Loading a pipeline file runs it, so whatever it raises becomes a ``ConfigError`` that names the file, the line and the
cause. Secrets that were wrapped by then are scrubbed from the cause (NO-SECRETS).
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError, SynclineError
from syncline.connectors.secret import Secret, scrub

if TYPE_CHECKING:
    from syncline.pipelines.pipeline import Pipeline

FOLDER = "pipelines"

_SECRET_NAME = re.compile(
    r"SECRET|PASSW|TOKEN|PRIVATE_KEY$|ACCESS_KEY$|API_KEY$|CREDENTIAL|CONNECTION_STRING|DSN$", re.I
)


@dataclass(frozen=True, slots=True)
class Found:
    """A pipeline and where it was written: the file, and the variable that holds it."""

    pipeline: Pipeline
    file: Path
    variable: str


def read_environment(folder: Path) -> None:
    """Loads ``.env`` of ``folder`` (the environment wins), and lets ``scrub`` know every value that looks secret."""
    file = folder / ".env"
    if file.is_file():
        from dotenv import load_dotenv

        try:
            # Not interpolated: a password may hold "${".
            load_dotenv(file, override=False, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                "read settings", str(file), _cause(error), "it must be a text of NAME=value lines"
            ) from None
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and not name.endswith(("_FILE", "_PATH", "_URL")):
            Secret(value)


def find_pipeline(reference: str, folder: Path) -> Pipeline:
    """The pipeline that ``reference`` names, looked for from ``folder``.

    Raises:
        ConfigError: there is none, or more than one, or its file cannot be loaded.
    """
    path, _, name = reference.partition(":")
    if path.endswith(".py") or os.sep in path:
        return _choose(load_file(folder / path), name, folder / path).pipeline
    files = pipeline_files(folder)
    same_stem = [file for file in files if file.stem == reference]
    if same_stem:
        return _choose(load_file(same_stem[0]), reference, same_stem[0]).pipeline
    found, broken = load_files(files)
    named = [each for each in found if each.pipeline.name == reference]
    if len(named) == 1:
        return named[0].pipeline
    if named:
        places = " and ".join(_show(each.file) for each in named)
        raise ConfigError("find pipeline", reference, f"it is defined in {places}", "rename one of them")
    raise _no_such(reference, found, folder, broken)


def find_pipelines(folder: Path) -> tuple[Sequence[Found], Sequence[ConfigError]]:
    """Every pipeline of ``./pipelines/*.py``, and what is wrong with the files that cannot be loaded.

    Raises:
        ConfigError: there is no pipeline file at all.
    """
    files = pipeline_files(folder)
    if not files:
        raise _no_such("", [], folder)
    return load_files(files)


def pipeline_files(folder: Path) -> Sequence[Path]:
    """``pipelines/*.py`` by name; a file that starts with ``_`` is a helper, not a pipeline."""
    return [file for file in sorted((folder / FOLDER).glob("*.py")) if not file.name.startswith("_")]


def load_files(files: Sequence[Path]) -> tuple[Sequence[Found], Sequence[ConfigError]]:
    found: list[Found] = []
    broken: list[ConfigError] = []
    for file in files:
        try:
            found.extend(load_file(file))
        except ConfigError as error:
            broken.append(error)
    return found, broken


def load_file(file: Path) -> Sequence[Found]:
    """Runs one file and returns its pipelines in the order written; empty when it defines none.

    Raises:
        ConfigError: the file is missing, or raised, with the line and the cause.
    """
    from syncline.pipelines.pipeline import Pipeline

    if not file.is_file():
        raise ConfigError("find pipeline", _show(file), "there is no such file", "write one with `syncline init`")
    module = _run_file(file)
    found: dict[int, Found] = {}
    for variable, value in vars(module).items():
        if isinstance(value, Pipeline):
            found.setdefault(id(value), Found(value, file, variable))
    return list(found.values())


def _run_file(file: Path) -> ModuleType:
    name = f"_syncline_pipeline_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError("load pipeline", _show(file), "it is not a Python file", "its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    # At the end, so that helpers beside the file are found but none can take the place of an installed module.
    if str(file.parent.resolve()) not in sys.path:
        sys.path.append(str(file.parent.resolve()))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _explain(error, file) from error
    return module


def _explain(error: BaseException, file: Path) -> ConfigError:
    if isinstance(error, SyntaxError) and error.filename and error.filename.endswith(".py"):
        place = f"{_show(Path(error.filename))}:{error.lineno}"
        return ConfigError("load pipeline", place, f"{type(error).__name__}: {error.msg}", "correct the line")
    place = f"{_show(file)}:{_line(error, file)}"
    if isinstance(error, ConfigError):
        return type(error)(error.operation, f"{place}: {error.object}", error.cause, error.hint)
    if isinstance(error, SynclineError):
        return ConfigError(error.operation, f"{place}: {error.object}", error.cause, error.hint)
    return ConfigError("load pipeline", place, _cause(error), _hint(error))


def _line(error: BaseException, file: Path) -> int:
    """The deepest line of the user's own file, not of the library that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file) and frame.lineno]
    return lines[-1] if lines else 1


def _cause(error: BaseException) -> str:
    text = scrub(str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hint(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "if it is an environment variable, set it or write it into .env in this folder"
    if isinstance(error, ModuleNotFoundError):
        return f"install it into the environment of this command: {sys.executable} -m pip install ..."
    if isinstance(error, SystemExit):
        return "a pipeline file defines a pipeline; it must not end the program"
    return "`syncline --debug ...` shows the whole traceback"


def _choose(found: Sequence[Found], name: str, file: Path) -> Found:
    if not found:
        raise ConfigError(
            "find pipeline", _show(file), "the file defines no pipeline", 'it needs pipeline = Pipeline("crm", ...)'
        )
    named = [each for each in found if name and name in (each.pipeline.name, each.variable)]
    if len(named) == 1:
        return named[0]
    if len(found) == 1 and name in ("", file.stem):
        return found[0]
    names = ", ".join(each.pipeline.name for each in found)
    if not name or name == file.stem:
        hint = f"choose one, as in {_show(file)}:{found[0].pipeline.name}"
        raise ConfigError("find pipeline", _show(file), f"the file defines several pipelines: {names}", hint)
    raise ConfigError("find pipeline", f"{_show(file)}:{name}", "the file has no such pipeline", f"it defines {names}")


def _no_such(reference: str, found: Sequence[Found], folder: Path, broken: Sequence[ConfigError] = ()) -> ConfigError:
    """The name may be misspelt, or be in a file that cannot be loaded: both are said."""
    from syncline.pipelines.pipeline import nearest

    if not pipeline_files(folder):
        cause = f"there is no pipeline file in {folder / FOLDER}"
        hint = "write one with `syncline init`, or go to the folder that holds pipelines/"
        return ConfigError("find pipeline", reference or FOLDER, cause, hint)
    names: Mapping[str, None] = dict.fromkeys(
        [each.pipeline.name for each in found] + [file.stem for file in pipeline_files(folder)]
    )
    listed = ", ".join(names)
    cause, hint = f"no pipeline of that name; there are {listed}", nearest(reference, names)
    if broken:
        cause += f"; a file that cannot be loaded may hold it: {broken[0].object}: {broken[0].cause}"
    return ConfigError("find pipeline", reference, cause, hint or (broken[0].hint if broken else ""))


def _show(file: Path) -> str:
    """The path as the user would type it."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
