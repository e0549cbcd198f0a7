"""Framing that is no text.

event_stream   Amazon's event streams: frames with checksums, in and out
socket_frames  what goes over a WebSocket: frames of messages, and the close
"""
