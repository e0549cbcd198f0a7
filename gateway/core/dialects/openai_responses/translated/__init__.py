"""OpenAI's Responses to and from the canonical form (`dialects/canonical/`).

call_reader      a request's body -> `CanonicalCall`
item_reader      its input items
part_reader      what their messages and results consist of
option_reader    its tools, choice, format and reasoning
call_writer      `CanonicalCall` -> a request's body
item_writer      its input items
reasoning_state  what of a reasoning item its provider wants back
event_reader     a provider's events -> `Event`s
event_writer     `Event`s -> events for the caller
sources          what a text cites, and what a web search has found
open_items       the items of an answer while they are written
response_object  the `response` in a caller's events
translator       all of it together
"""
