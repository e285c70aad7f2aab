"""No test reaches for the network, and none runs without the optional packages."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

pytest.importorskip("torch", reason="needs the extra huggingface")
pytest.importorskip("transformers", reason="needs the extra huggingface")
