"""OpenAI's sessions over WebSocket: Realtime, and Responses.

    dialect   how sessions are opened, and how errors look in one
    realtime  the messages of a Realtime session
    turns     those of a Responses session: a request and its events, one after another
    events    what both read of a message
    usage     what an answer took, sound and cached sound included

Realtime names its model in the query (platform.openai.com/docs/guides/realtime-websocket),
Responses in each `response.create` (developers.openai.com/api/docs/guides/websocket-mode).
"""
