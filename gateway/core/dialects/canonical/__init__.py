"""The canonical form: what a request and an answer say, in no dialect's words.

Between two dialects everything goes through this form, so that each dialect has one reader and one
writer of calls, and one of events, and never a translator for a pair. Where caller and provider
speak the same dialect nothing of this is used: bytes are spliced.

    call        a request: turns of blocks, tools, sampling, reasoning, and the rest by its name
    events      an answer as a stream: blocks that begin, grow and end, and why the answer stopped
    fidelity    what the target cannot say: refused, or left out and listed
    opaque      state that belongs to its provider: signatures and tool ids, tagged and restored
    foreign_state  the same taken out of a request that stays in its dialect
    own_tools   tools that a provider runs itself, and which of them its target has
    sources     what a web search has found, and what a text cites
    tools       tools that an API has no form for, as functions, and their calls restored
    translation, translated_stream  the way of a request there, and of its answer back
    stop_sequences  those that a provider does not take, looked for by the gateway
    writing     what the writers of calls have in common
    data_url    images and files within a URL
    reading     JSON taken apart without losing a digit

How to add a dialect. Its package gets four modules and an object of `translation.Translator`:

    reader of calls    a body -> `CanonicalCall`. What has no place in it goes to `Fidelity`: `hint`
                       for what is harmless to leave out, `demand` for what changes the answer.
    writer of calls    the call -> a body for a `ForeignRecipient`. What the API cannot say goes to
                       `Fidelity` under its name in the *caller's* dialect (`path`).
    reader of events   one SSE event of the provider -> `Event`s. It is fed with what the dialect's
                       own rewriter has let through, so that framing, errors, usage, broken JSON and
                       whole answers instead of streams are dealt with already, and once.
    writer of events   `Event`s -> bytes for the caller. Usage comes at the end, as `Usage`, which
                       has one arithmetic: input includes what the cache gave and took, output
                       includes reasoning.

Whole answers are streams too: the provider's is turned into one (`as_stream`), translated, and put
together again (`assemble`); so streaming and not say the same by construction.

Text is `str`. Numbers, schemas and whatever only travels are `msgspec.Raw`: digits stay. A tool's
arguments are the JSON *text* that the model wrote, to the byte, also where it is no valid JSON.
Gemini and Bedrock need nothing new here: `parts` and content blocks are blocks, a function call
that comes whole is a `BlockStarted`, one `Grown` and a `BlockStopped`; `thoughtSignature` and
`reasoningContent.signature` are signatures. The Responses API's items are blocks of turns, its
`encrypted_content` is a signature with `encrypted` set, custom tools are calls with `custom` set.
"""
