"""The process that trains: ``python -m training.running.worker WORK``, alone or as one of torchrun's.

It takes its order from the work folder and leaves progress, checkpoints, results and outcome there; what went wrong, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from foundation.errors import TransumanzaError
from training.running.orders import Order, read_order, write_outcome
from training.running.progress import told
from training.running.ranks import current_ranks
from training.running.stopping import stop_requests

FAILED = 1


def main(work: Path) -> int:
    """Carry out the order in a work folder; 0 or the exit status of a failure, which stands in the folder."""
    order = Order(work)
    stop = stop_requests()
    try:
        with ExitStack() as stack:
            if os.environ.get("RANK", "0") == "0":
                _alone_in(work, stack)
            _join(stack)
            job, settings, run = read_order(order)
            first = current_ranks().first
            if first:
                shutil.rmtree(order.output, ignore_errors=True)
            watch = stack.enter_context(told(order.progress, run)) if first else None
            from training.recipes import train

            outcome = train(replace(job, stop=stop, watch=watch), settings)
            if first:
                write_outcome(order, outcome)
    except TransumanzaError as error:
        _say(order, error)
        return FAILED
    except Exception as error:
        _say(order, error)
        raise
    return 0


def _alone_in(work: Path, stack: ExitStack) -> None:
    """Wait for an earlier process that still saves its state in this folder; its starter may be long gone."""
    stream = stack.enter_context((work / "training.lock").open("w"))
    fcntl.lockf(stream, fcntl.LOCK_EX)


def _join(stack: ExitStack) -> None:
    """Become one of the processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl")
    else:
        distributed.init_process_group("gloo")
    stack.callback(distributed.destroy_process_group)


def _say(order: Order, error: Exception) -> None:
    """Leave the reason; the first process to fail names it, the others fail because of it."""
    message = str(error) if isinstance(error, TransumanzaError) else f"{type(error).__name__}: {error}"
    try:
        with order.failure.open("x", encoding="utf-8") as stream:
            json.dump({"kind": type(error).__name__, "message": message}, stream)
    except FileExistsError:
        return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
