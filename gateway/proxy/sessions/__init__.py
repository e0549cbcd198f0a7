"""Sessions over WebSocket: many requests and answers between one caller and one provider.

A session is one request to all else: one admission, one record, one place in the queue, attempts
over the deployments of its model. In the order in which to read them:

    sockets    what is needed of both sides
    routed     attempts over the deployments, until a provider has spoken
    attempt    one of them: its lease, the opening, the first word, the session, its row
    relay      frames both ways, and what ends a session
    guard      what may end one while it is open: the key, the budget
    spending   what the open sessions of this process have cost so far
    messages   whole messages of frames, to be looked at
    notes      what the debug log keeps of one

Frames are passed on as they come, in their order and their size. One that cannot be passed on yet
keeps its reader from reading more, so that nothing is held but what is on its way.
"""
