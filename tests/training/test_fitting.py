"""Fitting: a killed run ends with the same weights, the schedule, and runs that must be refused."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from foundation.settings import content_of
from training.adapters.lora import model_with_adapter, quantized_with_adapter
from training.checkpoints import load_model
from training.errors import TrainingError
from training.fitting import Fitted, fit, learning_rate, step_rows
from training.loss import objective
from training.packing import Batch, Row, collate
from training.recipes import Job, train
from training.running.ranks import Ranks
from training.running.saved_state import CHECKPOINT, REPLACED
from training.settings import AdaptationSettings, FitSettings
from training.speed import peak_flops, workload_of

SETTINGS = AdaptationSettings.model_validate(
    {"steps": 6, "warmup_steps": 2, "rows_per_step": 2, "checkpoint_steps": 100, "learning_rate": 1e-2, "lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}
)
ROWS = [Row([(7 * row + 3 * place) % 200 + 3 for place in range(24)], [10, 14]) for row in range(5)]


def silent(total: int | None, label: str, unit: str) -> tqdm:
    return tqdm(total=total, disable=True)


def trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}


def run(base: Path, work: Path, settings: AdaptationSettings, stop_after: int | None = None) -> tuple[Fitted, dict[str, torch.Tensor]]:
    model = quantized_with_adapter(base, settings.lora, "cpu", compute_dtype="float32", seed=3)
    fitted = fit(model, ROWS, settings, seed=3, pad_token=2, work=work, progress=silent, stop_after=stop_after)
    return fitted, trained(model)


@pytest.mark.parametrize("optimizer", ["adamw", "paged_adamw_32bit"])
def test_three_steps_and_three_more_equal_six(tiny: Path, tmp_path: Path, optimizer: str) -> None:
    """QLoRA with dropout, killed after step 3: bit-identical weights and log."""
    settings = SETTINGS.model_copy(update={"optimizer": optimizer})
    whole, expected = run(tiny, tmp_path / "whole", settings)
    run(tiny, tmp_path / "killed", settings, stop_after=3)
    resumed, found = run(tiny, tmp_path / "killed", settings)
    assert resumed.resumed_at == 3
    assert list(resumed.log) == list(whole.log)
    assert resumed.tokens == 6 * 2 * 24
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    assert not list(tmp_path.rglob("*.pt")) and (tmp_path / "killed" / CHECKPOINT / "state.safetensors").is_file()


def test_seconds_and_utilization_are_of_the_whole_run(tiny: Path, tmp_path: Path) -> None:
    """Of a run that went on, not of its last process alone: cards tell hours and energy by them."""
    run(tiny, tmp_path, SETTINGS, stop_after=3)
    state = tmp_path / CHECKPOINT / "state.json"
    saved = json.loads(state.read_text())
    assert 0 < saved["seconds"] < 600 and saved["operations"] > 0
    state.write_text(json.dumps({**saved, "seconds": 1000.0}))
    resumed, _ = run(tiny, tmp_path, SETTINGS)
    assert 1000 < resumed.seconds < 1600
    assert resumed.tokens_per_second == resumed.tokens / resumed.seconds
    assert resumed.mfu is not None
    ratio = resumed.mfu * resumed.seconds / (saved["operations"] / peak_flops(torch.device("cpu")))
    assert ratio == pytest.approx(2), "three steps before, three after"


def test_a_checkpoint_of_another_sharing_is_told(tiny: Path, tmp_path: Path) -> None:
    run(tiny, tmp_path, SETTINGS, stop_after=3)
    state = tmp_path / CHECKPOINT / "state.json"
    state.write_text(state.read_text().replace('"sharded": false', '"sharded": true'))
    with pytest.raises(TrainingError, match=r"checkpoint holds weights that were shared out over the processes \(fsdp\); set training.running.sharding back"):
        run(tiny, tmp_path, SETTINGS)


def test_a_kill_between_two_renames_loses_no_checkpoint(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the old checkpoint is out of the way and the new one not in its place: the old one serves."""
    settings = SETTINGS.model_copy(update={"checkpoint_steps": 2})
    whole, expected = run(tiny, tmp_path / "whole", settings)
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.name.endswith(".part") and (tmp_path / "killed" / REPLACED).is_dir():
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        run(tiny, tmp_path / "killed", settings)
    assert not (tmp_path / "killed" / CHECKPOINT).exists()
    resumed, found = run(tiny, tmp_path / "killed", settings)
    assert resumed.resumed_at == 2
    assert list(resumed.log) == list(whole.log)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (tmp_path / "killed" / CHECKPOINT).is_dir() and not (tmp_path / "killed" / REPLACED).exists()


def test_an_adapter_is_put_on_without_the_warning_of_peft(tiny: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="`is_gradient_checkpointing`")
        quantized_with_adapter(tiny, SETTINGS.lora, "cpu", compute_dtype="float32", seed=3)


def test_another_seed_is_another_run(tiny: Path, tmp_path: Path) -> None:
    model = quantized_with_adapter(tiny, SETTINGS.lora, "cpu", compute_dtype="float32", seed=4)
    other = fit(model, ROWS, SETTINGS, seed=4, pad_token=2, work=tmp_path / "a", progress=silent)
    assert [entry["loss"] for entry in other.log] != [entry["loss"] for entry in run(tiny, tmp_path / "b", SETTINGS)[0].log]


def test_the_loss_falls_and_only_the_adapter_moves(tiny: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 20})
    fitted, _ = run(tiny, tmp_path, settings)
    assert fitted.final_loss() < fitted.log[0]["loss"] - 0.05
    assert fitted.trainable == 2 * 4 * (4 * (64 + 64) + 3 * (64 + 128)), "rank x (in + out) of seven Linear layers in two blocks"


def test_micro_batches_give_the_gradient_of_the_whole(tiny: Path, tmp_path: Path) -> None:
    """Mean over all targets of the effective batch, not a mean of means: rows differ in targets."""
    rows = [Row(list(range(5, 35)), [30]), Row(list(range(50, 80)), [30], [place > 25 for place in range(30)])]
    norms = []
    for micro in (1, 2):
        model = load_model(tiny)
        model.requires_grad_(True)
        settings = FitSettings(steps=1, rows_per_step=2, micro_rows=micro, warmup_steps=0)
        log = fit(model, rows, settings, seed=0, pad_token=2, work=tmp_path / str(micro), progress=silent).log
        norms.append((log[0]["loss"], log[0]["gradient_norm"], log[0]["targets"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert norms[0][2] == 29 + 4


def test_full_fine_tuning_moves_every_weight(tiny: Path, tmp_path: Path) -> None:
    model = load_model(tiny)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.requires_grad_(True)
    fit(model, ROWS, FitSettings(steps=2, warmup_steps=0), seed=0, pad_token=2, work=tmp_path, progress=silent)
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_schedules() -> None:
    cosine = FitSettings(learning_rate=1.0, warmup_steps=2)
    rates = [learning_rate(cosine, step, 10) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)
    constant = cosine.model_copy(update={"schedule": "constant"})
    assert learning_rate(constant, 9, 10) == 1.0


def test_every_row_is_seen_once_per_pass() -> None:
    seen = [row.input_ids[0] for step in range(5) for row in step_rows(ROWS, step, 2, seed=1)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == sorted(row.input_ids[0] for row in ROWS)
    assert seen[:5] != seen[5:]


def test_nothing_to_train_on_is_refused(tiny: Path, tmp_path: Path) -> None:
    model = load_model(tiny)
    with pytest.raises(TrainingError, match="no rows to train on"):
        fit(model, [], FitSettings(), seed=0, pad_token=2, work=tmp_path, progress=silent)
    with pytest.raises(TrainingError, match="none of its 1 rows has a target"):
        fit(model, [Row([5, 6], [2], [False, False])], FitSettings(), seed=0, pad_token=2, work=tmp_path, progress=silent)


def test_a_loss_that_is_not_finite_stops_the_run(tiny: Path, tmp_path: Path) -> None:
    model = load_model(tiny)
    model.requires_grad_(True)
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = math.nan
    with pytest.raises(TrainingError, match=r"step 1: loss nan.*on the training rows \[\d\]; the state before that step is saved"):
        fit(model, ROWS, FitSettings(steps=1, method="full"), seed=0, pad_token=2, work=tmp_path, progress=silent)


@pytest.mark.parametrize("allowed", [1, 2])
def test_out_of_memory_halves_the_micro_batch(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], allowed: int) -> None:
    """A device with room for so many rows: the run is that of the whole batch, dropout apart, and says what it did."""
    settings = SETTINGS.model_copy(update={"rows_per_step": 4, "micro_rows": 4, "steps": 3, "lora": SETTINGS.lora.model_copy(update={"dropout": 0.0})})
    whole, _ = run(tiny, tmp_path / "whole", settings)
    model = quantized_with_adapter(tiny, settings.lora, "cpu", compute_dtype="float32", seed=3)
    plain = objective(model, 1000)

    class Small(torch.nn.Module):
        def forward(self, batch: Batch) -> torch.Tensor:
            if len(batch.input_ids) > allowed:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(batch)

    with patched_objective(Small()):
        fitted = fit(model, ROWS, settings, seed=3, pad_token=2, work=tmp_path / "small", progress=silent)
    assert fitted.micro_rows == allowed
    assert [entry["loss"] for entry in fitted.log] == pytest.approx([entry["loss"] for entry in whole.log], rel=1e-5)
    assert f"step 1: out of memory; from here on {allowed} rows at a time, at the same effective batch of 4" in capsys.readouterr().out


def test_one_row_that_does_not_fit_is_told(tiny: Path, tmp_path: Path) -> None:
    class Full(torch.nn.Module):
        def forward(self, batch: Batch) -> torch.Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    model = quantized_with_adapter(tiny, SETTINGS.lora, "cpu", compute_dtype="float32", seed=3)
    with patched_objective(Full()), pytest.raises(TrainingError, match=r"step 1: out of memory with 1 row\(s\) of 24 tokens.*gradient_checkpointing"):
        fit(model, ROWS, SETTINGS, seed=3, pad_token=2, work=tmp_path, progress=silent)


@contextmanager
def patched_objective(module: torch.nn.Module) -> Iterator[None]:
    """Training with another objective: what a device without memory does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.fitting.objective", lambda model, chunk_tokens: module)
        yield


SWITCHES: dict[str, dict[str, object]] = {
    "attention: eager": {"attention": "eager"},
    "nf4_weights: unpacked": {"nf4_weights": "unpacked"},
    "gradient_checkpointing": {"gradient_checkpointing": True},
    "loss_chunk_tokens: 5": {"loss_chunk_tokens": 5},
    "micro_rows: 2": {"micro_rows": 2},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_speed_switch_is_a_run_key(tiny: Path, tmp_path: Path, switch: str) -> None:
    """It changes memory and time, never the run: the same losses and weights within rounding, and no content key."""
    settings = SETTINGS.model_copy(update={"lora": SETTINGS.lora.model_copy(update={"dropout": 0.0})})
    switched = settings.model_copy(update=SWITCHES[switch])
    assert content_of(switched) == content_of(settings)
    results = []
    for name, chosen in (("plain", settings), ("switched", switched)):
        model = model_with_adapter(tiny, chosen, "cpu", seed=3)
        fitted = fit(model, ROWS, chosen, seed=3, pad_token=2, work=tmp_path / name, progress=silent)
        results.append((fitted, trained(model)))
    (plain, expected), (other, found) = results
    assert [entry["loss"] for entry in other.log] == pytest.approx([entry["loss"] for entry in plain.log], rel=1e-5)
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)


@pytest.mark.services
def test_compiled_blocks_give_the_same_run(tiny: Path, tmp_path: Path) -> None:
    """``compile: true`` through the recipe, with a real compiler: the losses of the plain run within rounding."""
    logs = []
    for compiled in (False, True):
        settings = FitSettings(method="full", steps=2, warmup_steps=0, compile=compiled, threads=1)
        torch.compiler.reset()
        folder = tmp_path / str(compiled)
        logs.append(train(Job(tiny, "tiny", ROWS, folder / "made", folder, 3, silent), settings).fitted.log)
        assert bool(torch._dynamo.utils.counters["stats"].get("unique_graphs")) == compiled, "blocks are compiled where the switch is on"
    assert [entry["loss"] for entry in logs[1]] == pytest.approx([entry["loss"] for entry in logs[0]], rel=1e-5)


def test_unpacked_weights_are_the_numbers_of_nf4(tiny: Path) -> None:
    ids = torch.arange(5, 60)[None]
    logits = []
    for kind in ("packed", "unpacked"):
        model = model_with_adapter(tiny, SETTINGS.model_copy(update={"nf4_weights": kind}), "cpu", seed=3).eval()
        with torch.no_grad():
            logits.append(model(input_ids=ids).logits)
    assert torch.allclose(*logits, atol=1e-6)
    with torch.no_grad():
        assert not torch.allclose(logits[0], load_model(tiny)(input_ids=ids).logits, atol=1e-3), "the comparison must be able to fail"


def test_operations_are_those_that_torch_counts(tiny: Path) -> None:
    """Full fine-tuning of one document against torch's own counter, which counts all of the attention, not its causal half."""
    from torch.utils.flop_counter import FlopCounterMode

    model = load_model(tiny)
    model.set_attn_implementation("eager")  # the products of the other kernels are not counted on a CPU
    model.requires_grad_(True)
    row = Row(list(range(5, 133)), [128])
    with FlopCounterMode(display=False) as counter:
        objective(model, 10_000)(collate([row], 2)).backward()
    workload = workload_of(model, full=True)
    more = workload.attention * 128**2  # the other half
    assert workload.of([row], 127) + more == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_a_step_that_cannot_be_shared_is_told(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fitting.current_ranks", lambda: Ranks(0, 3))
    with pytest.raises(TrainingError, match="rows_per_step 2 cannot be shared by 3 processes"):
        fit(load_model(tiny), ROWS, SETTINGS, seed=0, pad_token=2, work=tmp_path, progress=silent)
