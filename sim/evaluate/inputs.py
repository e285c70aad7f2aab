"""Models and texts of an evaluation, read and checked, with a hash of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.shape import longest_prompt
from spatten_hw.sim.models.llama.gguf_file import Loaded, load
from spatten_hw.user_text import read_text

from .classifier import ClassifierBench
from .decoder import DecoderBench, windows_of
from .encoder import SentenceBench
from .endless import EndlessBench
from .labelled import PACKAGE, labelled, spread_over
from .language import LanguageBench
from .task_bench import DEPTHS, TaskBench, task_bench
from .tasks import LEAST_CONTEXT, TASKS
from .text import documentation, lines_of, sentences


def data_hash(arrays: Iterable[np.ndarray], text: bytes) -> str:
    """A hash of weights and text."""
    digest = hashlib.sha256(text)
    for x in arrays:
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()[:16]


def encoder_bench(config: SpAttenConfig, text: Path | None, count: int) -> tuple[SentenceBench, dict[str, object]]:
    """The sentence encoder on `count` sentences (of a file: at most so many), and what is to be said about it."""
    from spatten_hw.sim.models.minilm import MiniLM

    texts = sentences(count) if text is None else lines_of(text, count)
    model = MiniLM()
    bench = SentenceBench(model, config, [model.tokenize(t) for t in texts])
    lengths = [len(t) for t in bench.texts]
    about: dict[str, object] = {
        "model": "all-MiniLM-L6-v2", "text": "pydoc_data.topics" if text is None else text.name,
        "sentences": len(texts), "tokens": sum(lengths), "tokens_most": max(lengths),
        "data": data_hash((model.weights[name] for name in sorted(model.weights)), "\n".join(texts).encode())}
    return bench, about


def classifier_bench(config: SpAttenConfig, text: Path | None, count: int | None
                     ) -> tuple[ClassifierBench, dict[str, object]]:
    """The classifier on `count` labelled texts (None: all), unpadded, cut where the package cuts them, and what is to
    be said about it."""
    from spatten_hw.sim.models.nanoguard.package import VERSION, load

    rows = spread_over(labelled(text), count, PACKAGE if text is None else str(text))
    loaded = load()
    model, most = loaded.model, loaded.model.max_tokens
    whole = [loaded.tokenizer.tokenize(row.text) for row in rows]
    bench = ClassifierBench(model, config, [t.first(most) for t in whole], [row.injection for row in rows])
    lengths = [len(t) for t in bench.texts]
    about: dict[str, object] = {
        "model": f"NanoGuard {VERSION}: {model.layers} layers of {model.heads} heads, D = {model.dim}",
        "text": PACKAGE if text is None else text.name, "texts": len(rows), "injections": int(bench.truth.sum()),
        "tokens": sum(lengths), "tokens_most": max(lengths), "cut": sum(len(t) > most for t in whole),
        "data": data_hash((model.weights[name] for name in sorted(model.weights)),
                          "\n".join(f"{row.injection} {row.text}" for row in rows).encode())}
    return bench, about


def decoder_bench(config: SpAttenConfig, text: Path | None, count: int, weights: Path | None
                  ) -> tuple[DecoderBench, dict[str, object]]:
    """The GPT on `count` windows of held-out text (or of a file), and what is to be said about it."""
    from spatten_hw.sim.models.gpt import corpus, vocabulary
    from spatten_hw.sim.models.gpt.model import load_gpt

    model = load_gpt(weights)
    prose = corpus.held_out_text() if text is None else read_text(text)
    ids = np.array(vocabulary.encode(prose, "the held-out text" if text is None else str(text)))
    bench = DecoderBench(model, config, windows_of(ids, model.context + 1, count))
    arrays = [model.weights[name] for name in sorted(model.weights)] + [model.peaks[n] for n in sorted(model.peaks)]
    about: dict[str, object] = {
        "model": f"GPT, {model.layers} layers of {model.heads} heads, D = {model.dim}, context {model.context}",
        "text": "held-out topics of pydoc_data.topics" if text is None else text.name, "windows": count,
        "prompt": bench.prompt, "predictions": count * (model.context - bench.prompt),
        "data": data_hash([*arrays, bench.windows], b"")}
    return bench, about


def tasks_bench(config: SpAttenConfig, context: int, each: int) -> tuple[TaskBench, dict[str, object]]:
    """The language model on tasks of `context` tokens in Python's documentation, `each` at every depth."""
    if context < LEAST_CONTEXT:
        raise UserError(f"--context {context}: tasks need at least {LEAST_CONTEXT} tokens")
    loaded = _language_model(config, context, context)
    haystack = np.array(loaded.tokenizer.encode(documentation()))
    bench = task_bench(loaded.model, config, loaded.tokenizer, haystack, context, each)
    about: dict[str, object] = {
        "model": loaded.name, "tasks": list(TASKS), "depths": list(DEPTHS), "each": each,
        "windows": len(bench.windows), "context": context,
        "data": data_hash([bench.windows, loaded.model.weights["token_embd.weight"][:64]], b"tasks")}
    return bench, about


def _language_model(config: SpAttenConfig, context: int, prompt: int) -> Loaded:
    """The language model, its context what build and model have. Refuses a longer one, and prompts that do not fit,
    before minutes are spent on them."""
    loaded = load()
    loaded.model.context = min(loaded.model.context, config.max_tokens)
    if context > loaded.model.context:
        raise UserError(f"--context {context}: model and build '{config.name}' have {loaded.model.context} tokens at "
                        "most (--set max_tokens=…)")
    has = longest_prompt(config, loaded.model.dim)
    if prompt > has and not config.chunk_queries:
        raise UserError(f"--context {context}: prompts of {prompt} tokens, the K/V memories of '{config.name}' hold "
                        f"{has} (--set sram_tokens=…, or --set chunk_queries=1 for prompts in blocks)")
    return loaded


def language_bench(config: SpAttenConfig, text: Path | None, windows: int, context: int, steps: int
                   ) -> tuple[LanguageBench, dict[str, object]]:
    """The language model on windows of `context` tokens of Python's documentation (or of a file), predicted in the last
    `steps` of them, and what is to be said about it."""
    if steps >= context:
        raise UserError(f"--steps {steps}: a window has {context} tokens (--context), the first of which are a prompt")
    loaded = _language_model(config, context, context - steps)
    ids = np.array(loaded.tokenizer.encode(documentation() if text is None else read_text(text)))
    bench = LanguageBench(loaded.model, config, windows_of(ids, context + 1, windows), context - steps)
    about: dict[str, object] = {
        "model": loaded.name, "text": "pydoc_data.topics" if text is None else text.name, "windows": windows,
        "prompt": bench.prompt, "context": context, "predictions": windows * steps, "tokens": windows * context,
        "data": data_hash([bench.windows, loaded.model.weights["token_embd.weight"][:64]], f"{steps}".encode())}
    return bench, about


def endless_bench(config: SpAttenConfig, text: Path | None, windows: int, prompt: int, steps: int
                  ) -> tuple[EndlessBench, dict[str, object]]:
    """The language model on `windows` texts of `steps` tokens behind `prompt` tokens that fill its cache, and what is
    to be said about it."""
    loaded = _language_model(config, prompt, prompt)
    ids = np.array(loaded.tokenizer.encode(documentation() if text is None else read_text(text)))
    bench = EndlessBench(loaded.model, config, windows_of(ids, prompt + steps + 1, windows), prompt)
    about: dict[str, object] = {
        "model": loaded.name, "text": "pydoc_data.topics" if text is None else text.name, "windows": windows,
        "prompt": prompt, "steps": steps, "predictions": windows * steps,
        "data": data_hash([bench.windows, loaded.model.weights["token_embd.weight"][:64]], f"endless {steps}".encode())}
    return bench, about
