"""Cohere's chats to and from the canonical form.

call_reader   a caller's request    message_reader  its messages
call_writer   a request for a provider    message_writer  its messages
documents     what a request gives a model to read, and what of it a text cites
event_reader  a provider's events   event_writer    a caller's events
embeddings    vectors
translator    all of it, as `canonical.translation.Translator`
"""
