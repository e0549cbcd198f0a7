"""OpenAI's chat completions to and from the canonical form (`dialects/canonical/`).

call_reader      a request's body -> `CanonicalCall`
message_reader   its messages
option_reader    its tools, formats and reasoning
call_writer      `CanonicalCall` -> a request's body
message_writer   its messages
event_reader     a provider's chunks -> `Event`s
citations        what a text cites, both ways
event_writer     `Event`s -> chunks for the caller
translator       the four of them together
"""
