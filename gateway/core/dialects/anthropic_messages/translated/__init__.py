"""Anthropic's Messages to and from the canonical form (`dialects/canonical/`).

call_reader    a request's body -> `CanonicalCall`
block_reader   the blocks of its messages
own_tools      tools that Anthropic's servers run, both ways
call_writer    `CanonicalCall` -> a request's body
block_writer   the blocks of its messages
event_reader   a provider's events -> `Event`s
citations      what a text cites, both ways
searches       web searches of its servers, both ways
event_writer   `Event`s -> events for the caller
translator     the four of them together
"""
