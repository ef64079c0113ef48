"""Training in a process of its own: the same result, also after a real kill; progress, TensorBoard, and how failures are told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from foundation.store.builds import hardware
from tests.training.conftest import SENTENCES
from training.base import origin_of
from training.errors import LossDiverged, Stopped, TrainingError
from training.packing import Row
from training.recipes import Job, Judging
from training.row_files import RowFile, write_rows
from training.running.launching import carry_out
from training.running.orders import Order, write_order
from training.running.runners import run_training
from training.running.trackers import TrackedRun
from training.settings import AdaptationSettings, FitSettings, MergingSettings, RunningSettings

ROWS = [Row([(7 * row + 3 * place) % 200 + 3 for place in range(96)], [40, 56]) for row in range(5)]
QLORA = AdaptationSettings.model_validate(
    {"steps": 6, "warmup_steps": 2, "rows_per_step": 2, "checkpoint_steps": 3, "learning_rate": 1e-2, "threads": 1, "lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}
)
HERE = RunningSettings(runner="in_process", report_to=())
APART = RunningSettings(runner="subprocess", report_to=())


def silent(total: int | None, label: str, unit: str) -> tqdm:
    return tqdm(total=total, disable=True)


def job(base: Path, folder: Path, **changes: Any) -> Job:
    folder.mkdir(exist_ok=True)
    return replace(Job(base, "tiny", ROWS, folder / "made", folder / "work", 3, silent, validation=ROWS[:1]), **changes)


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "made" / "adapter" / "adapter_model.safetensors")


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def when(condition: Callable[[], bool], act: Callable[[], None], seconds: float = 120) -> threading.Thread:
    """A thread that acts as soon as something holds."""

    def watch() -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                act()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def told(order: Order) -> int:
    return order.progress.read_text().count("\n") if order.progress.is_file() else 0


def lock_holder(order: Order) -> int:
    """The process that trains, by the lock it holds."""
    inode = (order.work / "training.lock").stat().st_ino
    (line,) = (line.split() for line in Path("/proc/locks").read_text().splitlines() if line.split()[5].endswith(f":{inode}"))
    return int(line[4])


def test_six_steps_are_three_a_kill_and_three(tiny: Path, tmp_path: Path) -> None:
    """QLoRA on packed rows with dropout: the subprocess is killed by SIGKILL; the adapter is identical to the bit."""
    expected = run_training(job(tiny, tmp_path / "whole"), QLORA, HERE)
    killed = job(tiny, tmp_path / "killed")
    order = Order(killed.work)
    killer = when(lambda: told(order) >= 4, lambda: os.kill(lock_holder(order), signal.SIGKILL))
    with pytest.raises(TrainingError, match=r"killed by signal 9; most likely memory.*goes on from its last checkpoint"):
        run_training(killed, QLORA, APART)
    killer.join()
    assert not (tmp_path / "killed" / "made").exists()
    resumed = run_training(killed, QLORA, APART)
    assert resumed.fitted.resumed_at == 3
    assert resumed.hardware == hardware(), "as the process that trained saw it"
    assert list(resumed.fitted.log) == list(expected.fitted.log)
    assert same(adapter(tmp_path / "killed"), adapter(tmp_path / "whole"))
    assert (resumed.validation_before, resumed.validation_after) == (expected.validation_before, expected.validation_after)
    # The outcome stays until the work folder goes: a starter that died before publishing takes it as it is.
    again = run_training(replace(killed, output=tmp_path / "again"), QLORA, APART)
    assert again == resumed and same(load_file(tmp_path / "again" / "adapter" / "adapter_model.safetensors"), adapter(tmp_path / "whole"))


def test_merges_are_measured_where_the_adapter_is_trained(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the process that trains, never in the one that follows it, which may be a login node; the origin goes with whatever is published."""
    settings = QLORA.model_copy(update={"steps": 2})
    judged = Judging(SENTENCES, MergingSettings(max_worse_percent=1000, window_tokens=64))
    here = run_training(job(tiny, tmp_path / "here", judging=judged), settings, HERE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.adapters.choice.measure", None)
        patch.setattr("training.recipes.publish_merge", None)
        apart = run_training(job(tiny, tmp_path / "apart", judging=judged), settings, APART)
    assert here.merges is not None and apart.merges == here.merges and here.merges.chosen == "base16"
    limit = (here.merges.worse_percent("base16") + here.merges.worse_percent("dequantized")) / 2
    other = next(target for target in here.merges.merges if target != here.merges.best)
    strict = Judging(SENTENCES, MergingSettings(max_worse_percent=limit, window_tokens=64))
    with caplog.at_level("WARNING"):
        chosen = run_training(job(tiny, tmp_path / "other", judging=strict), settings.model_copy(update={"merge": other}), APART).merges
    assert chosen is not None and chosen.chosen == here.merges.best and f"Not the profile's merge ({other})" in caplog.text
    assert origin_of(tmp_path / "other" / "made" / "merged") == origin_of(tiny)


def test_progress_reaches_the_bar_and_tensorboard(tiny: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    bars: list[tqdm] = []

    def progress(total: int | None, label: str, unit: str) -> tqdm:
        bars.append(tqdm(total=total, disable=False, file=(tmp_path / "bar").open("w")))
        return bars[0]

    run_training(job(tiny, tmp_path / "a", progress=progress), QLORA, RunningSettings(), run=TrackedRun("model", "0123", tmp_path))
    assert (bars[0].total, bars[0].n) == (6, 6) and "tokens/s, MFU" in bars[0].postfix
    events = EventAccumulator(str(tmp_path / "tensorboard" / "model" / "0123"))
    events.Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [1, 2, 3, 4, 5, 6]
    assert all(0 < event.value < 1 for event in events.Scalars("training/mfu"))
    assert events.Scalars("training/peak_memory_mb")[0].value > 100


def test_a_starter_that_goes_leaves_a_checkpoint(tiny: Path, tmp_path: Path) -> None:
    """Interrupted (Ctrl-C, a cancelled run): the process saves its state and ends; the next run goes on."""
    one = job(tiny, tmp_path / "one")
    order = Order(one.work)
    settings = QLORA.model_copy(update={"checkpoint_steps": 1000, "steps": 400})
    write_order(order, one, settings, run=None)

    def interrupt() -> None:
        if told(order) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(order, 1, interrupt)
    assert '"Stopped"' in order.failure.read_text()
    short = settings.model_copy(update={"steps": told(order) + 1})
    assert run_training(one, short, APART).fitted.resumed_at == short.steps - 1 >= 2


def test_errors_of_the_other_process_are_this_one_s(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none of its 2 rows has a target"):
        run_training(job(tiny, tmp_path / "a", rows=[Row([5, 6], [2], [False, False])]), QLORA, APART)
    with pytest.raises(TrainingError, match=r"processes is 2, and runner subprocess is one process"):
        run_training(job(tiny, tmp_path / "b"), QLORA, RunningSettings(runner="subprocess", processes=2))
    with pytest.raises(TrainingError, match="no backward pass on CPUs"):
        run_training(job(tiny, tmp_path / "c"), QLORA.model_copy(update={"attention": "flex"}), HERE)


def test_rows_come_back_from_their_file(tmp_path: Path) -> None:
    rows = [*ROWS, Row([1, 2, 3], [3], [False, True, True])]
    write_rows(tmp_path / "rows", rows * 300)
    read = RowFile(tmp_path / "rows")
    assert len(read) == 1800
    for place in (0, 5, 1023, 1024, 1799):
        expected = (rows * 300)[place]
        assert (list(read[place].input_ids), read[place].labels()) == (list(expected.input_ids), expected.labels())
    with pytest.raises(IndexError):
        read[1800]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_method_stops_and_goes_on(tiny: Path, tmp_path: Path, method: str) -> None:
    settings = FitSettings.model_validate({**QLORA.model_dump(), "method": method})
    whole = run_training(job(tiny, tmp_path / "whole"), settings, HERE)
    steps = iter(range(1, 7))
    stopped = job(tiny, tmp_path / "stopped", stop=lambda: next(steps) == 2)
    with pytest.raises(Stopped, match="after step 2 of 6"):
        run_training(stopped, settings, HERE)
    resumed = run_training(replace(stopped, stop=lambda: False), settings, HERE)
    assert resumed.fitted.resumed_at == 2 and list(resumed.fitted.log) == list(whole.fitted.log)
    assert same(*(load_file(tmp_path / folder / "made" / "merged" / "model.safetensors") for folder in ("whole", "stopped")))


def test_a_spike_stops_with_a_checkpoint_and_its_rows(tiny: Path, tmp_path: Path) -> None:
    """The state before the spike is saved; with a wider bound the run goes on, and ends as if it had never stopped."""
    settings = QLORA.model_copy(update={"steps": 24, "rows_per_step": 1, "checkpoint_steps": 1000, "max_loss_rise": 1e-9, "learning_rate": 1e-4})
    one = job(tiny, tmp_path / "one")
    with pytest.raises(LossDiverged, match=r"step 2\d: loss .* \(median of the 20 steps before: .*\), .*on the training rows \[\d\]; .*set max_loss_rise") as raised:
        run_training(one, settings, HERE)
    step = int(str(raised.value).split()[1].rstrip(":"))
    wider = settings.model_copy(update={"max_loss_rise": None})
    resumed = run_training(one, wider, HERE)
    assert resumed.fitted.resumed_at == step - 1
    assert list(resumed.fitted.log) == list(run_training(job(tiny, tmp_path / "whole"), wider, HERE).fitted.log)
