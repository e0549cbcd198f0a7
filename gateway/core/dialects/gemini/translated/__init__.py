"""Gemini's API to and from the canonical form (`core/dialects/canonical`).

translator         the parts put together
members            members by one of their two spellings
call_reader        a request, read: with part_reader, option_reader, json_schema
call_writer        a request, written: with part_writer
event_reader       the events of a stream, read
event_writer       the events of a stream, written
partial_arguments  arguments of a call that come in pieces, put together
call_ids           calls have no ids here: made up, and left out again
"""
