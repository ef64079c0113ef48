"""The command ``transumanza``. Commands are thin: they load a profile, call plain functions and print."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from dagster_project.cli import answers, evaluation, line, store, workshops
from dagster_project.factory import home_folder
from foundation.errors import TransumanzaError
from foundation.execution import JobSubmitted
from foundation.store.staging import explained_disk_errors

SUBMITTED = os.EX_TEMPFAIL
"""Exit code (75, "temporary failure", sysexits.h) of a command whose work is with a cluster: run it again later."""

app = typer.Typer(
    help="Adapts language models to Italian: corpus, translation, EVALITA instructions, versioned Parquet, training, release.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
line.register(app)
answers.register(workshops.train_app, workshops.evalita_app)
evaluation.register(workshops.train_app)
app.add_typer(store.app, name="store")
app.add_typer(workshops.corpus_app, name="corpus")
app.add_typer(workshops.translate_app, name="translate")
app.add_typer(workshops.train_app, name="train")
app.add_typer(workshops.evalita_app, name="evalita")


@app.callback()
def settings(
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Name or path of a profile; goes before the command.", show_default="demo", envvar="TRANSUMANZA_PROFILE")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one key of the profile: key=value, dotted; repeatable; goes before the command.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    """Options go before the command; they reach Dagster through the environment."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("dagster", "httpx", "urllib3", "fsspec", "matplotlib", "asyncio", "sqlalchemy", "alembic", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if profile:
        os.environ["TRANSUMANZA_PROFILE"] = profile
    if overrides:
        earlier = os.environ.get("TRANSUMANZA_SET", "")
        os.environ["TRANSUMANZA_SET"] = ";".join(part for part in (earlier, *overrides) if part)


def main() -> None:
    """The console script: errors that a user can mend are one line, without a traceback.

    Exit codes: 0 done; 1 an error; 2 a wrong command line; 75 the work is with a cluster, and the same command goes on
    with it later; 130 interrupted.
    """
    try:
        with explained_disk_errors(home_folder()):
            app()
    except JobSubmitted as submitted:
        typer.secho(str(submitted), fg=typer.colors.YELLOW, err=True)
        sys.exit(SUBMITTED)
    except TransumanzaError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("stopped; run the same command again to go on where it was", err=True)
        sys.exit(130)
