"""Tokens counted on this machine, with the library of the extra `tokens`.

    counter   the gateway's side: one process that counts, started when it is first needed
    child     that process; it knows the library and nothing of the gateway

The library (bpe-openai: OpenAI's tokenizers in Rust, with their tables, so that nothing is
downloaded) keeps the interpreter's lock while it counts, 25 to 60 ms for a megabyte, and while
it is loaded, for up to seconds from a cold disk. No thread of the gateway may do that: every stream
would stand still. So a process of its own does it. It has no secrets, costs memory (some 130 MB)
only while it is used, and whoever leaves before it has counted makes it neither slow nor wrong.
"""
