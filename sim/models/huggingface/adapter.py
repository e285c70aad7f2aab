"""The context that says what the attention of models runs on, and keeps what passes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.output import new_folders, write_all, writing
from spatten_hw.presets import PRESETS
from spatten_hw.sim.status import Status

from .forward import ForwardPass
from .interface import NAME, close_context, mask_array, open_context, register
from .options import AttentionOptions
from .refusals import APART, check_interface, refused_empty, refused_key
from .report import Entry, Report
from .segment import Segment
from .sequence import Sequence
from .turn import Turn


class SpAttenAttention:
    """Runs the attention of models with `attn_implementation="spatten"` while it is open (`with`).

    `config`: a build or the name of a preset. `options`, or its fields as keywords. One sequence of a batch is one
    sequence of jobs on an accelerator of its own. Afterwards `report` and `dump` tell what passed. Every refusal is a
    `UserError` of one line; what follows it must begin with a prompt. Any thread may run models inside, one at a time.
    """

    def __init__(self, config: SpAttenConfig | str = "small", options: AttentionOptions | None = None, **fields: Any):
        if isinstance(config, str) and config not in PRESETS:
            raise UserError(f"unknown preset {config!r}; presets: {', '.join(PRESETS)}")
        if options is not None and fields:
            raise UserError("give options or its fields as keywords, not both")
        try:
            self.options = options or AttentionOptions(**fields)
        except TypeError as e:
            raise UserError(f"{e}: the settings are {', '.join(AttentionOptions.__dataclass_fields__)}") from None
        self._used = False
        self._turn = Turn(self._forget)
        self.config = PRESETS[config] if isinstance(config, str) else config
        self._status: Status | None = None
        self.clear()

    def clear(self) -> None:
        """Forgets all sequences (`count` of them so far), statistics and records."""
        self.count = 0
        self._recorded: list[Sequence] = []
        self._value_peak = 0.0
        #: Boolean [batch, keys]: the tokens alive in the last layer that ran; padding is not.
        self.survivors: np.ndarray = np.zeros((0, 0), dtype=bool)
        self._batch: list[Sequence] = []
        self._pass: ForwardPass | None = None
        self._entries: list[Entry] = []
        self._dense: list[int] = []

    def __enter__(self) -> SpAttenAttention:
        register()
        open_context(self)
        self._status = Status().__enter__() if sys.stderr.isatty() else None
        self._used = False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        close_context(self)
        if self._status is not None:
            self._status.__exit__()
            self._status = None
        cause = refused_key(error, NAME) or refused_empty(error)
        if cause is not None:
            raise cause from error
        if error is None and not self._used:
            raise UserError("no attention came through: run a model made with attn_implementation="
                            f'"{NAME}" inside (or {APART})')

    # -- what transformers calls ----------------------------------------------------------------------

    def begin(self, config: Any) -> None:
        """A model has asked for a mask: what ran before is over."""
        if config is not None:
            check_interface(config)
        self._turn.begin()
        self._leave()

    def attend(self, module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float | None,
               kwargs: dict[str, Any]) -> Any:
        """One layer of all sequences. Tensors in transformers' order: query [batch, query_heads, queries, D], key and
        value [batch, kv_heads, keys, D]; returns [batch, queries, query_heads, D]."""
        import torch
        self._turn.layer()
        try:
            now = self._pass
            if now is None or now.done:
                self._leave()
                now = self._pass = ForwardPass(self, module, query, key)
            q, k, v = (x.detach().to("cpu", torch.float64).numpy() for x in (query, key, value))
            out = now.layer_of(module, q, k, v, mask_array(mask), scaling, kwargs)
        except BaseException:
            self._turn.failed()
            raise
        self._turn.ran(now.done)
        return torch.from_numpy(out).to(query.device, query.dtype)

    def _forget(self) -> None:
        self._pass, self._batch = None, []

    def _leave(self) -> None:
        """The pass is over; one that stopped half way leaves nothing to continue."""
        if self._pass is not None and not self._pass.done:
            self._batch = []
        self._pass = None

    # -- for the pass ---------------------------------------------------------------------------------

    @property
    def batch(self) -> list[Sequence]:
        """The sequences of the last pass, by place in the batch."""
        return self._batch

    def use(self, batch: list[Sequence], dense: int) -> None:
        """A pass over these sequences begins; new ones get a number. `dense`: bytes it would move dense."""
        self._batch = batch
        new = [s for s in batch if s.number >= self.count]
        self.count += len(new)
        if self.options.record:
            self._recorded += new
        self._dense.append(dense)
        self._used = True

    def note(self, entry: Entry) -> None:
        """Statistics of a layer."""
        self._entries.append(entry)
        self._value_peak = max([self._value_peak, *(s.layers.value_peak for s in self._batch)])

    def tell(self, text: str) -> None:
        """Shows what runs now, on a terminal."""
        if self._status is not None:
            self._status.show(text)

    @property
    def forwards(self) -> int:
        """Forward passes begun."""
        return len(self._dense)

    # -- what passed ----------------------------------------------------------------------------------

    def report_of(self, forward: int | None = None) -> Report:
        """Statistics of forward pass number `forward` (0 … , negative from the last one), or of all."""
        number = None if forward is None else range(self.forwards)[forward]
        return Report(self.config, self.options, tuple(e for e in self._entries if number in (None, e.forward)),
                      sum(self._dense) if number is None else self._dense[number],
                      self._value_peak)

    @property
    def report(self) -> Report:
        """Statistics of all forward passes since it was made or cleared."""
        return self.report_of()

    @property
    def segments(self) -> list[Segment]:
        """What was recorded, in order; only what has a whole pass."""
        return [g for s in self._recorded for g in s.segments if g.whole]

    def dump(self, folder: str | Path) -> list[Path]:
        """Writes a workload file for every prompt and every run of generation steps, and returns their paths.

        Needs `record`. The folder is made if its parent is there. Files are written completely or not at all.
        """
        folder = Path(folder)
        if not self.options.record:
            raise UserError("nothing was recorded: open SpAttenAttention with record=True")
        if not self.segments:
            raise UserError("nothing to dump: no forward pass has run")
        if not folder.parent.is_dir():
            raise UserError(f"{folder}: cannot be made (there is no folder {folder.parent})")
        contents = []
        for segment in self.segments:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, job=np.array(segment.job(self.options)),
                                **segment.arrays())  # type: ignore[arg-type]
            contents.append((folder / f"{segment.name}.npz", buffer.getvalue()))
        with writing(folder), new_folders(folder):
            write_all(contents)
        return [path for path, _ in contents]
