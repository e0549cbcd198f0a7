"""Ollama's chats and prompts to and from the canonical form.

call_reader   a caller's request    message_reader  its messages
call_writer   a request for a provider
event_reader  a provider's lines    event_writer    a caller's lines
embeddings    vectors
translator    all of it, as `canonical.translation.Translator`
"""
