"""Converse read into the canonical form and written from it.

call_reader, block_reader    a request, and the blocks of its messages
call_writer, block_writer    the same the other way round
citations                    what a text cites
tool_config                  tools and their choice, written
model_members                what a request says in members of the model's own
event_reader, event_writer   the events of a stream
translator                   all of it as `canonical.translation.Translator`
"""
