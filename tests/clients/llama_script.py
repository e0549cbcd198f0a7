"""The server of llama.cpp with a model made here; run by an interpreter that has both.

Called with the path for the model. Prints the address that it listens at, and serves until its
input ends. The model has the form of a Llama, three hundred tokens (bytes and ASCII) and weights by
chance: what it says means nothing, but it is counted, sampled, held to grammars and streamed like
any other.
"""

# ruff: noqa: T201
from __future__ import annotations

import sys
from typing import Any

import gguf
import numpy
import xllamacpp

WIDTH, INNER, HEADS, LAYERS = 64, 128, 4, 2
CONTEXT = 2048
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "assistant: "
)


def make_model(path: str) -> None:
    """Write the model, half a megabyte."""
    chance = numpy.random.default_rng(7)
    # What SentencePiece has: three of its own, each byte, and some text.
    special, each_byte = [b"<unk>", b"<s>", b"</s>"], [b"<0x%02X>" % code for code in range(256)]
    text = ["\u2581".encode(), *(bytes([code]) for code in range(33, 127))]
    tokens = [*special, *each_byte, *text]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("chance")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
        + [kinds.BYTE] * len(each_byte)
        + [kinds.NORMAL] * len(text)
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    def random(name: str, *shape: int) -> None:
        weights = chance.standard_normal(shape) * 0.3
        writer.add_tensor(f"{name}.weight", weights.astype(numpy.float32))

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))

    random("token_embd", len(tokens), WIDTH)
    random("output", len(tokens), WIDTH)
    ones("output_norm")
    for number in range(LAYERS):
        block = f"blk.{number}"
        for name in ("attn_norm", "ffn_norm"):
            ones(f"{block}.{name}")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"{block}.{name}", WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            random(f"{block}.{name}", INNER, WIDTH)
        random(f"{block}.ffn_down", WIDTH, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path: str) -> None:
    given: Any = xllamacpp.CommonParams()
    given.model.path = path
    given.port = 0
    given.n_ctx = CONTEXT
    given.n_parallel = 1
    given.cpuparams.n_threads = 1
    given.warmup = False
    server = xllamacpp.Server(given)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    make_model(sys.argv[1])
    serve(sys.argv[1])
